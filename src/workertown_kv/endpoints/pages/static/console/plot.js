// A small plot of lines over time, drawn as SVG.

import { h } from "./dom.js";

const [WIDTH, HEIGHT] = [300, 60];

/**
 * Show figures as numbers and lines.
 *
 * `lines` has the name of each line. `draw` takes a point for each reading: its time, and the value
 * of each line, or null.
 */
export class Plot {
  constructor(title, lines, words) {
    this.title = title;
    this.lines = lines;
    this.words = words;
    this.now = h("p", { class: "figure" }, "–");
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title });
    this.range = h("p", { class: "range" });
    this.element = h("section", { class: "plot", hidden: true }, h("h2", {}, title), this.now, this.svg, this.range);
  }

  draw(points, from, until) {
    const { lines, words } = this;
    const values = points.flatMap((point) => point.values).filter((value) => value !== null);
    this.element.hidden = !values.length;
    if (!values.length) return;
    const most = Math.max(...values);
    const last = points.at(-1).values;
    const texts = lines.map((line, index) => `${line ? `${line} ` : ""}${last[index] === null ? "–" : words(last[index])}`);
    this.now.replaceChildren(...texts.map((text, index) => h("span", { class: `line${index}` }, text)));
    this.range.textContent = `at most ${words(most)}`;
    this.svg.setAttribute("aria-label", `${this.title}: now ${texts.join(", ")}; at most ${words(most)}`);
    const x = (at) => ((at - from) / (until - from)) * WIDTH;
    const y = (value) => HEIGHT - 2 - (value / (most || 1)) * (HEIGHT - 4);
    this.svg.replaceChildren(
      ...lines.map((_, index) => {
        let isOn = false;
        const steps = points.map(({ at, values: these }) => {
          const value = these[index];
          const step = value === null ? "" : `${isOn ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
          isOn = value !== null;
          return step;
        });
        return svg("path", { d: steps.join(""), class: `line${index}` });
      }),
    );
  }
}

function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
