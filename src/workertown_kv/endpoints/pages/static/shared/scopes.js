// What a user may do. The server decides; the console only does not offer the rest.

export class Permissions {
  constructor({ scopes }) {
    this.scopes = scopes;
    this.isAdmin = this.#some((scope) => scope.verbs.includes("admin"));
  }

  /** Return whether the user may do this to a key or, with a prefix, to all keys with that prefix. */
  may(verb, namespace, key = "") {
    return this.#covering(verb, namespace).some((prefix) => key.startsWith(prefix));
  }

  /** Return whether the user may do this to some keys with a prefix. */
  maySomewhere(verb, namespace, wanted = "") {
    return this.#covering(verb, namespace).some(
      (prefix) => wanted.startsWith(prefix) || prefix.startsWith(wanted),
    );
  }

  /** Return whether the user may do this to all keys in all namespaces. */
  mayEverywhere(verb) {
    return this.#some(
      ({ verbs, namespaces, prefixes = [""] }) =>
        verbs.includes(verb) && !namespaces && prefixes.includes(""),
    );
  }

  /** Return the ids of the namespaces that scopes name. */
  get namespaces() {
    return [...new Set((this.scopes ?? []).flatMap((scope) => scope.namespaces ?? []))];
  }

  /** Return the longest prefix that all permitted keys of a namespace have. */
  start(namespace) {
    const prefixes = this.#covering("list", namespace);
    return prefixes.length === 1 ? prefixes[0] : "";
  }

  get words() {
    if (this.scopes === null) return "everything";
    return this.scopes
      .map(({ verbs, prefixes = [""] }) =>
        prefixes[0] === "" ? verbs.join(", ") : `${verbs.join(", ")} on ${prefixes.join(", ")}`,
      )
      .join("; ");
  }

  #some(test) {
    return this.scopes === null || this.scopes.some(test);
  }

  #covering(verb, namespace) {
    if (this.scopes === null) return [""];
    return this.scopes
      .filter((scope) => scope.verbs.includes(verb))
      .filter((scope) => !scope.namespaces || scope.namespaces.includes(namespace))
      .flatMap((scope) => scope.prefixes ?? [""]);
  }
}
