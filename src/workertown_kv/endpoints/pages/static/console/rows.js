// The rows of the table of keys, and their order.

import { bytesText, h, remaining, shown } from "./dom.js";
import { keyPlace, listPlace } from "./place.js";
import { preview } from "./values.js";

/** Return the row of a folder; `start` is where the part of its name begins that the row shows. */
export function folderRow(namespace, folder, { start, mayWrite }) {
  const link = h("a", { href: listPlace(namespace, folder), class: "folder" }, shown(folder.slice(start)));
  return { element: h("tr", {}, mayWrite && h("td"), h("th", { scope: "row" }, link), h("td", { colspan: 5 }, "folder")) };
}

/** Return the row of a key, with a box that selects it if the user may write. */
export function keyRow(namespace, item, { start, mayWrite }, select) {
  const { key } = item;
  const link = h("a", { href: keyPlace(namespace, key) }, shown(key.slice(start), 200));
  const row = {
    key,
    value: h("td", { class: "value" }),
    size: h("td", { class: "size" }),
    expires: h("td", { class: "expires" }),
    metadata: h("td", { class: "metadata" }),
    version: h("td", { class: "version" }),
    box: h("input", {
      type: "checkbox",
      "aria-label": `Select ${key.slice(0, 100)}`,
      change: ({ target }) => select(target.checked),
    }),
  };
  const cells = [row.value, row.size, row.expires, row.metadata, row.version];
  row.element = h("tr", {}, mayWrite && h("td", {}, row.box), h("th", { scope: "row" }, link), cells);
  fillRow(row, item);
  return row;
}

/** Show in a row what is known of its key. */
export function fillRow(row, item) {
  const { version, expires_at: expiresAt, metadata, text, base64, error } = item;
  row.item = item;
  row.version.replaceChildren(h("code", { title: version }, `${version.slice(0, 8)}…`));
  row.expires.textContent = expiresAt ? remaining(expiresAt) : "–";
  row.metadata.replaceChildren(metadata ? shown(JSON.stringify(metadata), 80) : "");
  const { node, size } = preview({ text, base64, error });
  if (node) row.value.replaceChildren(node);
  if (size !== undefined) row.size.textContent = bytesText(size);
}

/** Compare as the server does: by the bytes of UTF-8, whose order is that of code points. */
export function byCodePoints(one, other) {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; ) {
    const [a, b] = [one.codePointAt(at), other.codePointAt(at)];
    if (a !== b) return a - b;
    at += a > 0xffff ? 2 : 1;
  }
  return one.length - other.length;
}
