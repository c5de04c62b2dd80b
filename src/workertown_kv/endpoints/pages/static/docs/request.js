// A request of an operation, from what is in its fields.

const enc = encodeURIComponent;

/**
 * Return the request: its method, URL, header fields and body.
 *
 * `texts` has the texts of the parameters; a parameter with several has an array. The body is a
 * text, a file, the fields of a form as a mapping, or null.
 */
export function requestOf({ method, path, parameters }, root, { texts, accept, type, body }) {
  const given = parameters.filter((parameter) => [texts.get(parameter)].flat().some(Boolean));
  const of = (where) => given.filter((parameter) => parameter.in === where);
  let target = path;
  for (const parameter of parameters.filter((one) => one.in === "path")) {
    const text = texts.get(parameter) ?? "";
    if (/^\.{0,2}$/.test(text)) throw new Error(`A path cannot have ${JSON.stringify(text)} as its ${parameter.name}.`);
    target = target.replace(`{${parameter.name}}`, () => enc(text));
  }
  const query = of("query").flatMap((parameter) =>
    [texts.get(parameter)].flat().filter(Boolean).map((text) => `${enc(parameter.name)}=${enc(text)}`),
  );
  const headers = of("header").map((parameter) => [parameter.name, headerText(parameter.name, texts.get(parameter))]);
  if (accept) headers.push(["Accept", accept]);
  // A form has a boundary in its type, which the client writes.
  if (type && body !== null && !isForm(body)) headers.push(["Content-Type", type]);
  const url = root.replace(/\/$/, "") + target + (query.length ? `?${query.join("&")}` : "");
  return { method, url, headers, body, isStream: accept === "text/event-stream" };
}

export const isForm = (body) => body !== null && typeof body === "object" && !(body instanceof File);

function headerText(name, text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text;
  throw new Error(`${name} has a character that header fields do not have; expected ASCII.`);
}

/** Send a request with the credentials of a session. */
export function send(session, { method, url, headers, body }, signal) {
  let content = body ?? undefined;
  if (isForm(body)) {
    content = new FormData();
    for (const [name, text] of Object.entries(body)) content.set(name, text);
  }
  return session.fetch(url, { method, headers: Object.fromEntries(headers), body: content, signal });
}
