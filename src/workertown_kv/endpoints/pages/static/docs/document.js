// The operations and schemas of an OpenAPI document.

const METHODS = ["get", "head", "put", "post", "patch", "delete"];

/** Return the operations of a document in its order, each with its method and path. */
export function operationsOf({ paths, security = [], components }) {
  return Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => method in methods).map((method) => {
      const operation = methods[method];
      const accepted = (operation.security ?? security).flatMap(Object.keys);
      return {
        ...operation,
        method: method.toUpperCase(),
        path,
        tag: operation.tags[0],
        schemes: accepted.map((name) => components.securitySchemes[name]),
      };
    }),
  );
}

/** Return whether an operation has each word of a text in its names or its summary. */
export function isFound({ method, path, operationId, summary, tag, parameters }, text) {
  const names = parameters.map(({ name }) => name);
  const all = [method, path, operationId, summary, tag, ...names].join(" ").toLowerCase();
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word));
}

/** Return the schema to which a reference leads, and its name. */
export function resolved(document, schema) {
  const name = schema.$ref?.split("/").at(-1);
  return name ? { name, schema: document.components.schemas[name] } : { name: null, schema };
}

/** Return the examples of a media type as texts, by name. */
export function examplesOf({ examples = {} }) {
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  return Object.fromEntries(Object.entries(examples).map(([name, { value }]) => [name, text(value)]));
}
