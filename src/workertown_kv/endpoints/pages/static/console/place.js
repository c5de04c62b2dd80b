// What the address bar names: a list, a key, or a page.

const enc = encodeURIComponent;

export const listPlace = (namespace, prefix = "") => `#/list/${enc(namespace)}/${enc(prefix)}`;
export const keyPlace = (namespace, key) => `#/key/${enc(namespace)}/${enc(key)}`;
export const newPlace = (namespace, prefix = "") => `#/new/${enc(namespace)}/${enc(prefix)}`;
export const feedPlace = (namespace) => `#/feed/${enc(namespace)}/`;

/** Return what an address names; the list of all keys if it names nothing. */
export function placeOf(hash) {
  const [, page, namespace, ...rest] = hash.split("/");
  try {
    const name = decodeURIComponent(rest.join("/"));
    const place = { page, namespace: decodeURIComponent(namespace ?? "") || "default" };
    if (page === "list" || page === "new") return { ...place, prefix: name };
    if (page === "key" && name) return { ...place, key: name };
    if (["feed", "namespaces", "api-keys", "overview", "transfer"].includes(page)) return place;
  } catch {
    // An address that nobody made here.
  }
  return { page: "list", namespace: "default", prefix: "" };
}

/** Return the folder that has a key or a beginning of keys. */
export const folderOf = (key) => key.slice(0, key.lastIndexOf("/") + 1);
