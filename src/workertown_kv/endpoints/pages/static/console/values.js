// What a value is, and how it is shown. Stored bytes are only ever text, or pixels in an <img>.

import { bytesText, h, shown } from "./dom.js";
import { format, parse } from "./json.js";

/** More bytes than this are not loaded to be shown. */
export const SHOWN_BYTES = 1024 * 1024;
const HEX_BYTES = 16 * 1024;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// Only formats of pixels: an SVG is a document.
const IMAGES = {
  "image/png": [0x89, 0x50, 0x4e, 0x47],
  "image/jpeg": [0xff, 0xd8, 0xff],
  "image/gif": [0x47, 0x49, 0x46, 0x38],
  "image/webp": [0x52, 0x49, 0x46, 0x46],
};

/** Return a value as it can be shown: its text if it has one, its tokens if it is JSON. */
export function described(bytes) {
  const image = Object.keys(IMAGES).find((type) =>
    IMAGES[type].every((byte, index) => bytes[index] === byte),
  );
  let text = null;
  try {
    text = decoder.decode(bytes);
  } catch {
    // Bytes.
  }
  const isParsed = text !== null && bytes.length <= SHOWN_BYTES;
  const tokens = isParsed ? parse(text).tokens : undefined;
  const views = [tokens && "JSON", text !== null && "Text", image && "Image", "Hex"].filter(Boolean);
  return { bytes, text, tokens, image, views };
}

export const formatted = ({ tokens, text }) => (tokens ? format(tokens) : (text ?? ""));

export function hexView(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, HEX_BYTES); at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·"));
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${text.join("")}`);
  }
  if (bytes.length > HEX_BYTES) lines.push(`… ${bytesText(bytes.length)} in all`);
  return h("pre", { class: "hex", tabindex: "0", "aria-label": "The bytes of the value" }, lines.join("\n"));
}

/** Show an image from its own bytes, as pixels: a script inside would not run. */
export function imageView(bytes, type) {
  const url = URL.createObjectURL(new Blob([bytes], { type }));
  const forget = () => URL.revokeObjectURL(url);
  const image = h("img", { alt: "The value as an image", load: forget, error: forget });
  image.src = url;
  return h("div", { class: "image" }, image);
}

/** Save a value as a file, which no browser opens as a page. */
export function download(bytes, name) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  h("a", { href: url, download: name.replace(/[^\w.-]+/g, "_").slice(-80) || "value" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Return the beginning of a value for a list of keys, and its size, from the result of a batch. */
export function preview({ text, base64, error }) {
  if (error !== undefined) return { node: h("em", {}, "large value") };
  if (base64 !== undefined) {
    return { node: h("em", {}, "bytes"), size: Math.floor((base64.replace(/=+$/, "").length * 3) / 4) };
  }
  if (text === undefined) return {};
  const size = new TextEncoder().encode(text).length;
  return { node: shown(text.length > 400 ? text.slice(0, 400) : text, 120), size };
}
