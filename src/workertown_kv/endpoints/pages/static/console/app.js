// The page: what the address names, and the bar at the top.

import { $, attempt, button, field, h, notify, pageLink, shown } from "./dom.js";
import { Browser } from "./browse.js";
import { Editor } from "./edit.js";
import { folderOf, listPlace, placeOf } from "./place.js";
import { Store } from "./store.js";
import { showLogin } from "./login.js";
import { themeButton } from "./theme.js";

// Loaded when they are first shown.
const PAGES = {
  "api-keys": async () => new (await import("./api-keys.js")).ApiKeys(session),
  feed: async ({ namespace }) => new (await import("./feed.js")).Feed(session, namespace),
  overview: async () => new (await import("./overview.js")).Overview(session),
  transfer: async () => new (await import("./transfer.js")).Transfer(session, titles),
  namespaces: async () => new (await import("./namespaces.js")).Namespaces(session, named),
};
const DEFAULT_ID = "0".repeat(32);
const SEARCH_PAUSE = 200;

let session;
let browser = null;
let editor = null;
let page = null;
let titles = new Map([["default", "default"]]);
let here = "";
let turns = 0; // how often another page was shown

const closeAll = () => {
  for (const one of [browser, editor, page]) one?.close();
  browser = editor = page = null;
};

// The bar at the top

function drawTop() {
  const { docs } = session.paths;
  const apiPages = docs ? pageLink(docs, "API") : "";
  if (!session.isLoggedIn) {
    $("top").replaceChildren(h("strong", {}, "workertown-kv"), apiPages, themeButton());
    return;
  }
  const { namespace, prefix = "" } = placeOf(location.hash);
  const names = new Set([...titles.keys(), namespace]);
  const chosen = h("select", { change: () => (location.hash = listPlace(chosen.value)) });
  chosen.append(...[...names].map((id) => h("option", { value: id, selected: id === namespace }, titles.get(id) ?? id)));
  const search = h("input", { type: "search", id: "search", placeholder: "search keys…", value: prefix, spellcheck: "false", input: searched });
  const { user, permissions } = session;
  const mayAdmin = permissions.isAdmin && session.paths.admin;
  const focused = $("top").contains(document.activeElement) && document.activeElement;
  $("top").replaceChildren(
    h("strong", {}, "workertown-kv"),
    field("Namespace", chosen, { class: "compact" }),
    field("Search by prefix", search, { class: "search" }),
    ...(permissions.isAdmin ? [h("a", { href: "#/overview" }, "Overview")] : []),
    ...(mayAdmin ? [h("a", { href: "#/namespaces" }, "Namespaces"), h("a", { href: "#/api-keys" }, "API keys"), h("a", { href: "#/transfer" }, "Export and import")] : []),
    apiPages,
    h("span", { class: "who" }, shown(user.id, 60), `: ${permissions.words}`),
    button("Log out", () => session.logOut()),
    themeButton(),
  );
  if (focused === false) return;
  const { tagName, textContent } = focused;
  const isSame = (one) => tagName === "SELECT" || one.textContent === textContent;
  [...$("top").querySelectorAll(tagName)].find(isSame)?.focus();
}

let searching;
function searched() {
  clearTimeout(searching);
  searching = setTimeout(() => {
    const { namespace } = placeOf(location.hash);
    history.replaceState(null, "", listPlace(namespace, $("search").value));
    show();
  }, SEARCH_PAUSE);
}

async function findNamespaces() {
  const { permissions, paths } = session;
  titles = new Map([["default", "default"]]);
  for (const id of permissions.namespaces) titles.set(id, titles.get(id) ?? id);
  if (!permissions.isAdmin || !paths.admin) return;
  await attempt(async () => {
    named((await session.json("GET", `${paths.admin}/namespaces`)).data);
  });
}

function named(namespaces) {
  titles = new Map([["default", "default"]]);
  for (const { id, title } of namespaces) if (id !== DEFAULT_ID) titles.set(id, title);
  drawTop();
}

// What the address names

async function show() {
  if (!session.isLoggedIn) return;
  if (editor?.isDirty && location.hash !== here) {
    const [wanted, dirty] = [location.hash, here];
    const leave = () => {
      editor?.close();
      editor?.element.remove();
      editor = null;
      location.hash = wanted;
    };
    history.replaceState(null, "", dirty);
    notify("The value has changes that are not saved.", { action: { text: "Leave them", run: leave }, isError: true });
    return;
  }
  here = location.hash;
  const mine = ++turns;
  const place = placeOf(here);
  if (document.activeElement?.id !== "search") drawTop();
  if (place.page in PAGES) {
    closeAll();
    $("main").replaceChildren();
    const opened = await PAGES[place.page](place);
    if (mine !== turns || !session.isLoggedIn) {
      opened.close();
      return;
    }
    page = opened;
    document.title = `${place.page} – workertown-kv`;
    $("main").replaceChildren(page.element);
    await page.open();
    return;
  }
  const isNewPage = page !== null;
  page?.close();
  page = null;
  const opening = showKeys(place, isNewPage);
  showKey(place);
  await opening;
}

async function showKeys({ namespace, prefix, key }, isNewPage) {
  const wanted = prefix ?? (key === undefined ? "" : folderOf(key));
  const isInside = key !== undefined && browser?.namespace === namespace && key.startsWith(browser.prefix);
  if (browser && !isNewPage && (isInside || browser.has(namespace, wanted))) {
    browser.mark(key);
    return;
  }
  browser?.close();
  const mine = (browser = new Browser(session, namespace, wanted, (changed, event) => {
    browser?.mark(editor?.key);
    const isOpen = changed !== undefined && editor && editor.key !== null && editor.namespace === namespace;
    if (isOpen && (editor.key === changed || (event === "delete_prefix" && editor.key.startsWith(changed)))) editor.changed();
  }));
  const old = $("main").querySelector(".browse");
  if (old) old.replaceWith(mine.element);
  else $("main").replaceChildren(mine.element);
  await mine.open();
}

function showKey({ page: name, namespace, prefix, key }) {
  editor?.close();
  editor?.element.remove();
  editor = null;
  document.title = `${key ?? prefix ?? ""} – ${titles.get(namespace) ?? namespace} – workertown-kv`;
  if (name === "list") return;
  editor = new Editor(session, namespace, name === "key" ? { key } : { prefix });
  $("main").append(editor.element);
  browser?.mark(key);
  editor.open();
}

// The session

async function start() {
  session.addEventListener("ended", ({ detail }) => {
    closeAll();
    $("notices").replaceChildren();
    drawTop();
    showLogin(session, begin, detail);
  });
  session.addEventListener("reached", ({ detail: isThere }) => {
    const banner = $("offline");
    banner.hidden = isThere;
    banner.textContent = isThere ? "" : "The server does not respond. What you have typed stays here.";
  });
  await session.resume();
  if (session.isLoggedIn) await begin();
  else {
    drawTop();
    showLogin(session, begin);
  }
}

async function begin() {
  $("main").replaceChildren();
  await findNamespaces();
  if (!location.hash) {
    const start = session.permissions.start("default");
    history.replaceState(null, "", listPlace("default", start));
  }
  here = location.hash;
  drawTop();
  await show();
}

addEventListener("hashchange", () => attempt(show));
addEventListener("beforeunload", (event) => editor?.isDirty && event.preventDefault());
addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName ?? "");
  if (event.key === "/" && !isTyping && $("search")) {
    event.preventDefault();
    $("search").focus();
  }
});

try {
  session = new Store(await (await fetch("paths.json", { cache: "no-store" })).json());
  await start();
} catch (error) {
  notify(`The console cannot start: ${error.message}`, { isError: true });
}
