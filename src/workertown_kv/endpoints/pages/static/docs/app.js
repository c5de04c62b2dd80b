// The API pages: the operations of this server, found by words, and one of them shown.

import { $, attempt, button, field, h, notify, pageLink, shown } from "./dom.js";
import { isFound, operationsOf } from "./document.js";
import { methodView, operationPlace, operationView } from "./operation.js";
import { prose } from "./schema.js";
import { Session } from "./session.js";
import { showLogin } from "./login.js";
import { themeButton } from "./theme.js";

let session;
let description;
let operations;

// The bar at the top

const login = h("div", { id: "login" });

function drawTop() {
  const { console: consoleUrl } = session.paths;
  const { user, permissions } = session;
  const who = user?.id ? [shown(user.id, 60), `: ${permissions.words}`] : "your credentials, which are not checked";
  const toggle = button("Log in", () => (login.hasChildNodes() ? login.replaceChildren() : askForLogin()));
  $("top").replaceChildren(
    h("strong", {}, "workertown-kv"),
    h("a", { href: "#/" }, "API"),
    consoleUrl ? pageLink(consoleUrl, "Console") : "",
    h("span", { class: "who" }, session.isLoggedIn ? who : ""),
    session.isLoggedIn ? button("Log out", () => session.logOut()) : toggle,
    themeButton(),
  );
}

function askForLogin(why) {
  const done = () => {
    login.replaceChildren();
    drawTop();
    $("main").focus();
  };
  showLogin(session, done, why, login);
}

// The operations

function drawOperations() {
  const lists = h("div");
  const count = h("p", { role: "status", class: "type" });
  const filter = h("input", { type: "search", id: "filter", placeholder: "find…", spellcheck: "false", input: draw });

  function draw() {
    const found = operations.filter((operation) => isFound(operation, filter.value.trim()));
    count.textContent = `${found.length} of ${operations.length} operations`;
    lists.replaceChildren(
      ...description.tags.map(({ name, description: about }) => {
        const links = found.filter(({ tag }) => tag === name).map(linkTo);
        return links.length ? h("section", {}, h("h2", {}, name), h("p", { class: "type" }, prose(about)), h("ul", {}, links)) : "";
      }),
    );
    mark();
  }

  $("operations").replaceChildren(field("Find an operation", filter, { class: "search" }), count, lists);
  draw();
}

const linkTo = (operation) =>
  h("li", {}, h("a", { href: operationPlace(operation) }, methodView(operation.method), " ", h("span", {}, operation.summary), h("code", {}, operation.path)));

function mark() {
  for (const link of $("operations").querySelectorAll("a")) {
    const isHere = link.getAttribute("href") === location.hash;
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function show() {
  const operation = operations.find((one) => operationPlace(one) === location.hash);
  document.body.classList.toggle("chosen", Boolean(operation));
  document.title = `${operation?.summary ?? "API"} – workertown-kv`;
  mark();
  const view = operation ? operationView(description, session, operation) : startView();
  $("main").replaceChildren(login, view);
  $("main").scrollTop = 0;
  return view;
}

function startView() {
  const { info } = description;
  const raw = h("a", { href: session.paths.document }, "The OpenAPI document");
  return h(
    "article",
    {},
    h("h1", { tabindex: "-1" }, `The API of ${info.title}`),
    h("p", {}, info.summary),
    info.description.trim().split("\n\n").map((text) => h("p", {}, prose(text))),
    h("p", {}, raw, " describes all operations that this server has, for programs."),
  );
}

// The page

async function start() {
  session.addEventListener("ended", ({ detail }) => {
    drawTop();
    if (detail) askForLogin(detail);
  });
  session.addEventListener("reached", ({ detail: isThere }) => {
    const banner = $("offline");
    banner.hidden = isThere;
    banner.textContent = isThere ? "" : "The server does not respond.";
  });
  description = await session.json("GET", session.paths.document);
  operations = operationsOf(description);
  await attempt(() => session.resume());
  drawTop();
  drawOperations();
  show();
}

addEventListener("hashchange", () => show().querySelector("h1").focus());
addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "");
  if (event.key !== "/" || isTyping || !$("filter")) return;
  event.preventDefault();
  document.body.classList.remove("chosen");
  $("filter").focus();
});

try {
  session = new Session(await (await fetch("paths.json", { cache: "no-store" })).json());
  await start();
} catch (error) {
  notify(`The API pages cannot start: ${error.message}`, { isError: true });
}
