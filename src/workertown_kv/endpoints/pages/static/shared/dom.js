// Elements, made from texts only: nothing here or elsewhere parses HTML.

/** Make an element. An attribute that is a function listens, `true` sets it, and `false` leaves it out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter((child) => child != null && child !== false));
  return element;
}

export const button = (text, click, attributes = {}) =>
  h("button", { type: "button", click, ...attributes }, text);

/** Make a labelled field. */
export const field = (text, input, attributes = {}) => h("label", attributes, h("span", {}, text), input);

/** Link to a page of the server, whose files are below its path. */
export const pageLink = (url, text) => h("a", { href: url.replace(/\/?$/, "/") }, text);

export const $ = (id) => document.getElementById(id);

// Characters that are invisible, or that change the order of the text around them.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/u;

/** Return a text as a node in which hidden characters are visible as their code points. */
export function shown(text, longest = 300) {
  const node = h("bdi", { class: "shown" });
  const cut = [...text.slice(0, 2 * longest)];
  let plain = "";
  for (const character of cut.slice(0, longest)) {
    if (!HIDDEN.test(character)) {
      plain += character;
      continue;
    }
    node.append(plain);
    plain = "";
    const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    node.append(h("span", { class: "hidden-character" }, `U+${code}`));
  }
  node.append(plain);
  if (cut.length > longest) node.append("…");
  return node;
}

/** Say what happened, and offer what can be done about it. */
export function notify(text, { action, isError = false, seconds = 12 } = {}) {
  const notice = h(
    "div",
    { class: isError ? "notice error" : "notice", role: isError ? "alert" : null },
    h("span", {}, text),
    action && button(action.text, () => (notice.remove(), action.run())),
    button("Dismiss", () => notice.remove(), { class: "quiet" }),
  );
  $("notices").replaceChildren(notice);
  if (!isError) setTimeout(() => notice.remove(), seconds * 1000);
}

/** Run an action of the user, and show its error. */
export async function attempt(action) {
  try {
    return await action();
  } catch (error) {
    if (error.name !== "AbortError") notify(error.message, { isError: true });
    return undefined;
  }
}

export const bytesText = (size) => {
  if (size < 1024) return `${size} B`;
  const units = ["KiB", "MiB", "GiB"];
  let unit = -1;
  do {
    size /= 1024;
    unit++;
  } while (size >= 1024 && unit < units.length - 1);
  return `${size.toFixed(1)} ${units[unit]}`;
};

/** Return how long a lifetime still lasts, such as `59:58`. */
export function remaining(expiresAt, now = Date.now()) {
  const seconds = Math.max(0, Math.ceil(expiresAt - now / 1000));
  const days = Math.floor(seconds / 86400);
  const parts = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60];
  if (!days && !parts[0]) parts.shift();
  const clock = parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  return days ? `${days} d ${clock}` : clock;
}
