// Deleting many keys: those that are selected, or all with a prefix, whose number is shown first.

import { attempt, button, h, notify, shown } from "./dom.js";

const number = (count) => `${count.toLocaleString("en")} ${count === 1 ? "key" : "keys"}`;

/** Delete keys that nobody has changed since they were shown. */
export async function deleteSelected(session, namespace, entries) {
  const results = await session.deleteAll(namespace, entries);
  const failed = results.filter(({ error }) => error !== undefined);
  const deleted = number(results.length - failed.length);
  if (!failed.length) notify(`Deleted ${deleted}.`);
  else notify(`Deleted ${deleted}; ${number(failed.length)} had changed meanwhile and stay.`, { isError: true });
}

/** Return a panel that counts the keys with a prefix, and deletes them once that is confirmed. */
export function deletePrefixView(session, namespace, prefix, done, close) {
  const stop = new AbortController();
  const { signal } = stop;
  const count = h("p", { role: "status" }, "Counting…");
  const cancel = button("Cancel", () => {
    stop.abort();
    close();
  });
  const confirm = button("Delete", remove, { class: "danger", disabled: true });

  const report = (words) => (found) => {
    count.textContent = `${words} ${number(found)}…`;
  };

  attempt(async () => {
    const options = { onlyCounts: true, report: report("Counted"), signal };
    const found = await session.deletePrefix(namespace, prefix, options);
    count.textContent = prefix
      ? `${number(found)} begin with this. Deleting cannot be undone.`
      : `${number(found)} in this namespace. Deleting cannot be undone.`;
    confirm.textContent = `Delete ${number(found)}`;
    confirm.disabled = !found;
  });

  async function remove() {
    confirm.disabled = true;
    await attempt(async () => {
      const found = await session.deletePrefix(namespace, prefix, { report: report("Deleted"), signal });
      notify(`Deleted ${number(found)}.`);
      await done();
    });
  }

  const title = prefix ? ["Delete all keys that begin with ", shown(prefix)] : ["Delete all keys"];
  const panel = h("section", { class: "panel", "aria-label": "Delete by prefix" }, h("h2", {}, title), count, confirm, cancel);
  queueMicrotask(() => cancel.focus());
  return panel;
}
