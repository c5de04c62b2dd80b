// What users type into the fields beside a value.

import { parse } from "./json.js";

/** Return a lifetime, null if there is none. */
export function secondsIn(text) {
  if (!text.trim()) return null;
  if (!/^[1-9]\d*$/.test(text.trim())) throw new Error("Expected a lifetime in whole seconds, at least 1.");
  return Number(text);
}

/** Return metadata as the text of a JSON object, null if there is none. */
export function metadataIn(text) {
  if (!text.trim()) return null;
  const { tokens, error } = parse(text);
  if (error || tokens[0] !== "{") throw new Error("Expected metadata as a JSON object, or none.");
  return tokens.join("");
}
