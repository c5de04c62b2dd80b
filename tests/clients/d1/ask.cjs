// Asks a server that claims to be D1 with Cloudflare's own client: its URL, account, database and
// token are arguments.
const { default: Cloudflare } = require('cloudflare')

async function main([baseURL, account_id, database, apiToken]) {
  const { database: d1 } = new Cloudflare({ apiToken, baseURL, maxRetries: 0 }).d1
  const ran = async (sql, params) => {
    const found = []
    for await (const one of d1.raw(database, { account_id, sql, params })) found.push(one.results.rows)
    return found
  }
  const about = []
  for await (const one of d1.list({ account_id })) about.push(one.name)
  await ran('CREATE TABLE sdk (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB)')
  await ran('INSERT INTO sdk VALUES (?, ?, unhex(?))', [1, 'grüß dich ☕', '00ff'])
  const [rows] = await ran('SELECT id, text, bytes FROM sdk WHERE id = ?', [1])
  const named = []
  for await (const one of d1.query(database, { account_id, sql: 'SELECT text FROM sdk' })) named.push(one.results)
  const batch = []
  const queries = [{ sql: 'SELECT ?', params: ['a'] }, { sql: 'SELECT ?', params: ['b'] }]
  for await (const one of d1.raw(database, { account_id, batch: queries })) batch.push(one.results.rows)
  const failure = await ran('SELECT * FROM missing').catch((error) => error)
  console.log(JSON.stringify({ about, rows, named, batch, status: failure.status, code: failure.errors[0].code }))
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exitCode = 1 })
