// Light or dark, until the tab is closed; else as the browser asks for it.

import { button } from "./dom.js";

export const themeButton = () => button("Light or dark", toggle, { class: "quiet" });

function toggle() {
  const { dataset } = document.documentElement;
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = dataset.theme ?? (isDark ? "dark" : "light");
  dataset.theme = now === "dark" ? "light" : "dark";
}
