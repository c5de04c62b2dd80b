// Makes the calls that stdin asks for with Cloudflare's TypeScript SDK. One line of JSON each way.
const fs = require('node:fs')
const readline = require('node:readline')
const { Cloudflare } = require('cloudflare')

const clients = {}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

// An argument, where JSON cannot say it.
function given(value) {
  if (value?.$bytes !== undefined) return new File([Buffer.from(value.$bytes, 'base64')], 'value')
  if (value?.$path !== undefined) return fs.createReadStream(value.$path)
  return value
}

function made(given) {
  const options = Object.fromEntries(Object.entries(given).map(([k, v]) => [camel(k), v]))
  return new Cloudflare({ ...options, baseURL: options.baseUrl })
}

async function call(asked) {
  const client = clients[JSON.stringify(asked.client)] ??= made(asked.client)
  const path = asked.method.split('.').map(camel)
  const method = path.pop()
  const resource = path.reduce((one, name) => one[name], client)
  const named = Object.fromEntries(Object.entries(asked.named).map(([k, v]) =>
    [k === 'with_metadata' ? 'withMetadata' : k, given(v)]))
  const asking = resource[method](...asked.positional, named)
  if (method === 'list') {
    const found = []
    for await (const one of asking) found.push(one)
    return found
  }
  const result = await asking
  if (!(result instanceof Response)) return result
  const bytes = Buffer.from(await result.arrayBuffer())
  return { $bytes: bytes.toString('base64'), headers: Object.fromEntries(result.headers) }
}

async function answer(asked) {
  try {
    return { result: (await call(asked)) ?? null }
  } catch (error) {
    const errors = error.errors?.length ? error.errors : [{ message: error.message }]
    return { kind: error.constructor.name, status: error.status ?? 0, errors }
  }
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
  }
}

main()
