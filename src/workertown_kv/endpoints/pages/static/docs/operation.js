// An operation: what it does, a request to try, and its answers.

import { h } from "./dom.js";
import { examplesOf } from "./document.js";
import { prose, schemaView, words } from "./schema.js";
import { tryView } from "./trying.js";

export const operationPlace = ({ operationId }) => `#/${encodeURIComponent(operationId)}`;

export const methodView = (method) => h("span", { class: "method" }, method);

export function operationView(document, session, operation) {
  const { method, path, summary, description, requestBody, responses, schemes } = operation;
  return h(
    "article",
    { class: "operation", "aria-label": summary },
    h("h1", { tabindex: "-1" }, summary),
    h("p", { class: "path" }, methodView(method), " ", h("code", {}, path)),
    h("p", {}, prose(description)),
    !schemes.length && h("p", {}, "It needs no credentials."),
    tryView(document, session, operation),
    requestBody && h("section", {}, h("h2", {}, "Body"), contentViews(document, requestBody.content, false)),
    h("section", {}, h("h2", {}, "Answers"), Object.entries(responses).map(([status, answer]) => answerView(document, status, answer))),
  );
}

function answerView(document, status, { description, headers = {}, content = {} }) {
  const fields = Object.entries(headers).map(([name, { description: about, example }]) =>
    h("li", {}, h("code", { class: "name" }, name), " ", prose(about ?? ""), example !== undefined && [", such as ", h("code", {}, String(example))]),
  );
  return h(
    "details",
    { class: "answer", open: status === "200" },
    h("summary", {}, h("strong", {}, status), " ", prose(description)),
    fields.length > 0 && [h("h3", {}, "Header fields"), h("ul", { class: "members" }, fields)],
    contentViews(document, content, true),
  );
}

function contentViews(document, content, withExamples) {
  return Object.entries(content).map(([type, media]) => [
    h("h3", {}, h("code", {}, type), " ", h("span", { class: "type" }, words(document, media.schema))),
    withExamples &&
      Object.entries(examplesOf(media)).map(([name, text]) =>
        h("pre", { tabindex: "0", role: "region", "aria-label": `Example: ${name}` }, text),
      ),
    schemaView(document, media.schema),
  ]);
}
