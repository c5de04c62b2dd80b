// Logging in: with an API key or a token, or with a user name and a password.

import { $, field, h } from "./dom.js";

/** Show the form in an element, and call `then` once the server has accepted the credentials. */
export function showLogin(session, then, why = "", element = $("main")) {
  const token = h("input", { type: "password", autocomplete: "off", id: "token", spellcheck: "false" });
  const name = h("input", { autocomplete: "username" });
  const password = h("input", { type: "password", autocomplete: "current-password" });
  const keeps = h("input", { type: "checkbox" });
  const problem = h("p", { class: "problem", role: "alert" }, why);
  const isOpen = !isSecureContext;

  async function logIn(event) {
    event.preventDefault();
    const authorization = token.value.trim()
      ? `Bearer ${token.value.trim()}`
      : `Basic ${base64(`${name.value}:${password.value}`)}`;
    problem.textContent = "";
    try {
      await session.logIn(authorization, keeps.checked);
      then();
    } catch (error) {
      const isRefused = error.status === 401;
      problem.textContent = isRefused ? "The server does not accept these credentials." : error.message;
      (token.value ? token : name).focus();
    }
  }

  const form = h(
    "section",
    { class: "login", "aria-labelledby": "log-in" },
    h("h1", { id: "log-in" }, "Log in"),
    problem,
    isOpen && h("p", { class: "problem" }, "This page is not encrypted: others may read what you enter."),
    h(
      "form",
      { submit: logIn },
      field("API key or token", token),
      h("button", { class: "primary" }, "Log in"),
    ),
    h("p", { class: "or" }, "or"),
    h(
      "form",
      { submit: logIn },
      field("User", name),
      field("Password", password),
      h("button", {}, "Log in with a password"),
    ),
    field("Keep me logged in until this tab closes", keeps, { class: "check" }),
  );
  element.replaceChildren(form);
  token.focus();
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
