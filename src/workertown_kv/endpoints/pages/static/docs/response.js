// The response to a request: its status, header fields, and the beginning of its body.

import { bytesText, h } from "./dom.js";
import { format, parse } from "./json.js";

const SHOWN_BYTES = 256 * 1024;

/** Show a response in an element; a stream is shown as it arrives, until the signal ends it. */
export async function responseView(element, response, milliseconds, signal) {
  const isGood = response.ok || response.status === 304;
  const size = h("span", {});
  const body = h("pre", { tabindex: "0", role: "region", "aria-label": "Body of the response" });
  const fields = [...response.headers].map(([name, text]) => `${name}: ${text}`).join("\n");
  element.replaceChildren(
    h("h2", {}, "Response"),
    h("p", { role: "status", class: isGood ? "status good" : "status bad" }, `${response.status} ${response.statusText}`.trim(), ` in ${milliseconds} ms`, size),
    h("details", {}, h("summary", {}, "Header fields"), h("pre", { tabindex: "0", role: "region", "aria-label": "Header fields of the response" }, fields)),
    body,
  );
  const type = response.headers.get("content-type") ?? "";
  const isLive = type.startsWith("text/event-stream");
  const decoder = new TextDecoder();
  let count = 0;
  let text = "";
  try {
    for (const reader = response.body?.getReader(); reader; ) {
      const { done, value } = await reader.read();
      if (done) break;
      if (count < SHOWN_BYTES) text += decoder.decode(value.subarray(0, SHOWN_BYTES - count), { stream: true });
      count += value.length;
      size.textContent = `, ${bytesText(count)}`;
      if (isLive) body.textContent = text;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    size.textContent += ", stopped";
  }
  body.textContent = count > SHOWN_BYTES ? `${text}\n…` : formatted(text, type);
  body.hidden = !count;
}

function formatted(text, type) {
  const tokens = type.startsWith("application/json") ? parse(text).tokens : undefined;
  return tokens ? format(tokens) : text;
}
