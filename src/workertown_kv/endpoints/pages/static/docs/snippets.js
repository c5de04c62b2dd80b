// A request as code, with credentials from the environment instead of those of this tab.

import { quoted } from "./samples.js";
import { isForm } from "./request.js";

/** Return a request as programs, by the names of their languages. */
export function snippetsOf(request, schemes) {
  const login = loginOf(schemes);
  return { curl: curl(request, login), Python: python(request, login), JavaScript: javascript(request, login) };
}

/** Return the header field with credentials, as the text before the secret and the secret's names. */
function loginOf(schemes) {
  const [scheme] = schemes;
  if (!scheme) return null;
  if (scheme.type === "apiKey") return { field: scheme.name, before: "" };
  if (scheme.scheme === "basic") return { isBasic: true };
  return { field: "Authorization", before: `${scheme.scheme[0].toUpperCase()}${scheme.scheme.slice(1)} ` };
}

/** Return a text as a literal of Python or JavaScript, without backslashes if that is possible. */
function literal(text, long) {
  const isPlain = !/[\\\p{Cc}\u2028\u2029]/u.test(text.replaceAll("\n", ""));
  if (isPlain && !text.includes("\n") && !text.includes('"')) return `"${text}"`;
  if (isPlain && !text.includes("\n") && !text.includes("'")) return `'${text}'`;
  const isLong = isPlain && !text.includes(long) && !text.includes("${") && !text.endsWith('"');
  return isLong ? `${long}${text}${long}` : JSON.stringify(text);
}
const py = (text) => literal(text, '"""');
const js = (text) => literal(text, "`");

function curl({ method, url, headers, body, isStream }, login) {
  const parts = ["curl"];
  if (isStream) parts.push("-N");
  if (method === "HEAD") parts.push("-I");
  else if (method !== "GET" || body !== null) parts.push(`-X ${method}`);
  parts.push(quoted(url));
  if (login?.isBasic) parts.push('-u "$KV_USERNAME:$KV_PASSWORD"');
  else if (login) parts.push(`-H "${login.field}: ${login.before}$KV_TOKEN"`);
  for (const [name, text] of headers) parts.push(`-H ${quoted(`${name}: ${text}`)}`);
  if (body instanceof File) parts.push(`--data-binary ${quoted(`@${body.name}`)}`);
  else if (isForm(body)) for (const [name, text] of Object.entries(body)) parts.push(`--form-string ${quoted(`${name}=${text}`)}`);
  else if (body !== null) parts.push(`--data-raw ${quoted(body)}`);
  const first = parts.findIndex((part) => part.startsWith("'")) + 1;
  return [parts.slice(0, first).join(" "), ...parts.slice(first)].join(" \\\n  ");
}

function python({ method, url, headers, body, isStream }, login) {
  const fields = headers.map(([name, text]) => `${py(name)}: ${py(text)}`);
  if (login?.field) fields.unshift(`${py(login.field)}: f"${login.before}{os.environ['KV_TOKEN']}"`);
  const lines = [`    ${py(method)},`, `    ${py(url)},`];
  if (login?.isBasic) lines.push('    auth=(os.environ["KV_USERNAME"], os.environ["KV_PASSWORD"]),');
  if (fields.length) lines.push("    headers={", ...fields.map((field) => `        ${field},`), "    },");
  if (body instanceof File) lines.push(`    data=open(${py(body.name)}, "rb"),`);
  else if (isForm(body)) {
    const files = Object.entries(body).map(([name, text]) => `${py(name)}: (None, ${py(text)})`);
    lines.push(`    files={${files.join(", ")}},`);
  } else if (body !== null) lines.push(`    data=${py(body)}.encode(),`);
  if (isStream) lines.push("    stream=True,");
  const shows = isStream
    ? ["for line in response.iter_lines(decode_unicode=True):", "    print(line)"]
    : ["print(response.status_code, response.text)"];
  const imports = [login && "import os", "import requests", ""].filter((line) => line !== null);
  return [...imports, "response = requests.request(", ...lines, ")", ...shows].join("\n");
}

function javascript({ method, url, headers, body, isStream }, login) {
  const fields = headers.map(([name, text]) => `${js(name)}: ${js(text)}`);
  const token = `\`${login?.before}\${process.env.KV_TOKEN}\``;
  const basic = '`Basic ${btoa(`${process.env.KV_USERNAME}:${process.env.KV_PASSWORD}`)}`';
  if (login) fields.unshift(`${js(login.field ?? "Authorization")}: ${login.isBasic ? basic : token}`);
  const before = [];
  const lines = [`  method: ${js(method)},`];
  if (fields.length) lines.push("  headers: {", ...fields.map((field) => `    ${field},`), "  },");
  if (body instanceof File) {
    before.push('import { readFile } from "node:fs/promises";', "");
    lines.push(`  body: await readFile(${js(body.name)}),`);
  } else if (isForm(body)) {
    before.push("const form = new FormData();");
    for (const [name, text] of Object.entries(body)) before.push(`form.set(${js(name)}, ${js(text)});`);
    lines.push("  body: form,");
  } else if (body !== null) lines.push(`  body: ${js(body)},`);
  const shows = isStream
    ? ["for await (const piece of response.body) process.stdout.write(piece);"]
    : ["console.log(response.status, await response.text());"];
  return [...before, `const response = await fetch(${js(url)}, {`, ...lines, "});", ...shows].join("\n");
}
