// A schema: its type in words, and its members, which open step by step since they may contain themselves.

import { h } from "./dom.js";
import { resolved } from "./document.js";

const LIMITS = {
  minimum: (least) => `${least} or more`,
  maximum: (most) => `at most ${most}`,
  minLength: (least) => (least === 1 ? "not empty" : `${least} characters or more`),
  maxLength: (most) => `at most ${most} characters`,
  minItems: (least) => (least === 1 ? "not empty" : `${least} items or more`),
  maxItems: (most) => `at most ${most} items`,
  maxProperties: (most) => `at most ${most} members`,
  pattern: (pattern) => `like ${pattern}`,
  default: (value) => `default ${JSON.stringify(value)}`,
};

/** Return a text with its words in backticks as code. */
export const prose = (text) => text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

/** Return the type of a schema in words, such as `integer, at least 1`. */
export function words(document, given) {
  if (typeof given === "boolean") return given ? "anything" : "nothing";
  const { name, schema } = resolved(document, given);
  if (name) return name;
  const { type, items, anyOf, oneOf, enum: values, format } = schema;
  const choices = anyOf ?? oneOf;
  if ("const" in schema) return JSON.stringify(schema.const);
  if (values) return values.map((value) => JSON.stringify(value)).join(" or ");
  if (choices) return [...new Set(choices.map((choice) => words(document, choice)))].join(" or ");
  const types = [type ?? "anything"].flat().map((one) => {
    if (one !== "array") return format ? `${one} (${format})` : one;
    return items ? `array of ${words(document, items)}` : one;
  });
  const limits = Object.entries(LIMITS).filter(([limit]) => limit in schema);
  return [types.join(" or "), ...limits.map(([limit, text]) => text(schema[limit]))].join(", ");
}

/** Return the members of a schema as a list, or nothing if it has none. */
export function schemaView(document, given) {
  const { schema } = resolved(document, given);
  const { description, properties = {}, required = [], items, additionalProperties, anyOf, oneOf } = schema;
  const members = Object.entries(properties).map(([name, member]) =>
    memberView(document, member, h("code", { class: "name" }, name), required.includes(name) && "required"),
  );
  if (items) members.push(memberView(document, items, "each item"));
  if (additionalProperties && additionalProperties !== true) {
    members.push(memberView(document, additionalProperties, "each other member"));
  }
  for (const choice of anyOf ?? oneOf ?? []) members.push(memberView(document, choice, "either"));
  return [description && h("p", {}, prose(description)), members.length > 0 && h("ul", { class: "members" }, members)];
}

function memberView(document, given, label, note) {
  const text = h("span", { class: "type" }, words(document, given));
  const head = [label, " ", text, note && h("span", { class: "required" }, ` ${note}`)];
  const about = given.description && h("p", {}, prose(given.description));
  if (!hasMembers(document, given)) return h("li", {}, head, about);
  const inside = h("div");
  const open = ({ target }) => target.open && !inside.hasChildNodes() && inside.append(...schemaView(document, given).filter(Boolean));
  return h("li", {}, h("details", { toggle: open }, h("summary", {}, head), inside), given.$ref ? about : null);
}

function hasMembers(document, given) {
  const { schema } = resolved(document, given);
  const { properties, items, anyOf, oneOf, additionalProperties } = schema;
  const parts = [...Object.values(properties ?? {}), ...(anyOf ?? oneOf ?? [])];
  if (items) parts.push(items);
  return Boolean(properties) || parts.some((part) => hasMembers(document, part)) || typeof additionalProperties === "object";
}
