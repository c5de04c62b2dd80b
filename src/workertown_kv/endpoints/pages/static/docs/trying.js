// A request to try: its fields, the same request as code, and the response.

import { attempt, button, field, h } from "./dom.js";
import { examplesOf, resolved } from "./document.js";
import { requestOf, send } from "./request.js";
import { responseView } from "./response.js";
import { samplesView } from "./samples.js";
import { prose, words } from "./schema.js";
import { snippetsOf } from "./snippets.js";

export function tryView(document, session, operation) {
  const parameters = new Map(operation.parameters.map((parameter) => [parameter, parameterInput(parameter)]));
  const accept = acceptInput(operation);
  const body = operation.requestBody && bodyInput(document, operation.requestBody, () => samples.redraw());
  const result = h("div", { class: "result" });

  const request = () =>
    requestOf(operation, session.paths.root, {
      texts: new Map([...parameters].map(([parameter, input]) => [parameter, textsOf(parameter, input)])),
      // The first type is what a request without the field gets.
      accept: accept && accept.selectedIndex > 0 ? accept.value : null,
      ...(body ? body.read() : { type: null, body: null }),
    });
  const samples = samplesView(() => {
    try {
      return snippetsOf(request(), operation.schemes);
    } catch (error) {
      return { curl: error.message, Python: error.message, JavaScript: error.message };
    }
  }, "curl");

  let stop = null;
  const cancel = button("Stop", () => stop.abort(), { hidden: true });
  async function run(event) {
    event.preventDefault();
    stop?.abort();
    const { signal } = (stop = new AbortController());
    await attempt(async () => {
      const sent = request();
      cancel.hidden = false;
      try {
        const started = performance.now();
        const response = await send(session, sent, signal);
        const milliseconds = Math.round(performance.now() - started);
        await responseView(result, response, milliseconds, signal);
      } finally {
        if (stop.signal === signal) cancel.hidden = true;
      }
    });
  }

  const rows = [...parameters].map(([parameter, input]) => parameterRow(document, parameter, input));
  return h(
    "form",
    { class: "try", submit: run, input: () => samples.redraw(), change: () => samples.redraw() },
    rows.length > 0 && [h("h2", {}, "Parameters"), h("div", { class: "parameters" }, rows)],
    body && [h("h2", {}, "Request body"), body.element],
    h("div", { class: "bar" }, accept && field("Accept", accept), h("button", { class: "primary" }, "Send"), cancel),
    samples.element,
    result,
  );
}

// Parameters

function parameterInput({ in: where, schema, example }) {
  const sample = example === undefined ? "" : String(example);
  const { type, enum: values } = schema;
  const choices = values ?? (type === "boolean" ? [true, false] : null);
  if (choices) return h("select", {}, h("option", { value: "" }, "–"), choices.map((value) => h("option", {}, String(value))));
  if (type === "array") return h("textarea", { rows: 2, placeholder: [example].flat().join("\n"), spellcheck: "false" });
  const value = where === "path" ? sample : null;
  return h("input", { value, placeholder: sample, required: where === "path", spellcheck: "false", autocomplete: "off" });
}

function parameterRow(document, { name, in: where, description, schema, required }, input) {
  const isList = schema.type === "array";
  return h(
    "div",
    { class: "parameter" },
    field(name, input),
    h(
      "span",
      { class: "about" },
      h("span", { class: "type" }, `${where === "header" ? "header field" : where}, ${words(document, schema)}`),
      required && h("span", { class: "required" }, " required"),
      " ",
      prose(description),
      isList && " (one a line)",
    ),
  );
}

const textsOf = ({ schema }, { value }) => (schema.type === "array" ? value.split("\n") : value);

function acceptInput({ method, responses }) {
  const types = Object.keys(responses["200"]?.content ?? {});
  if (types.length < 2 || method === "HEAD") return null;
  return h("select", {}, types.map((type) => h("option", {}, type)));
}

// Bodies

function bodyInput(document, { content, required }, changed) {
  const types = Object.keys(content);
  const type = h("select", { change: () => draw() }, types.map((name) => h("option", {}, name)));
  const place = h("div", { class: "body" });
  let read;

  function draw() {
    const media = content[type.value];
    if (type.value === "multipart/form-data") read = drawForm(document, media, place);
    else read = drawText(media, place, changed);
    changed();
  }

  const empty = h("option", { value: "" }, "no body");
  if (!required) type.append(empty);
  const element = h("div", {}, field("Content type", type), place);
  queueMicrotask(draw);
  return { element, read: () => (read && type.value ? { type: type.value, body: read() } : { type: null, body: null }) };
}

function drawText({ examples, schema } = {}, place, changed) {
  const texts = examplesOf({ examples });
  const names = Object.keys(texts);
  if (schema === undefined) {
    place.replaceChildren();
    return () => null;
  }
  const text = h("textarea", { rows: Math.min(14, (texts[names[0]] ?? "").split("\n").length + 1), spellcheck: "false", autocapitalize: "off", "aria-label": "Request body" });
  text.value = texts[names[0]] ?? "";
  const choose = ({ target }) => {
    text.value = texts[target.value];
    changed();
  };
  const example = names.length > 1 && field("Example", h("select", { change: choose }, names.map((name) => h("option", {}, name))));
  const file = schema.format === "binary" && h("input", { type: "file" });
  place.replaceChildren(...[example, text, file && field("or a file", file)].filter(Boolean));
  return () => (file && file.files[0]) || text.value;
}

function drawForm(document, { schema, examples }, place) {
  const [sample] = Object.values(examples ?? {});
  const { properties } = resolved(document, schema).schema;
  const inputs = new Map(Object.keys(properties).map((name) => [name, h("input", { value: sample?.value[name] ?? "", spellcheck: "false" })]));
  place.replaceChildren(...[...inputs].map(([name, input]) => field(name, input)));
  return () => Object.fromEntries([...inputs].map(([name, { value }]) => [name, value]).filter(([, value]) => value));
}
