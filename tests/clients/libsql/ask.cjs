// Asks a server that claims to be libSQL with Turso's own client: URL and token are arguments.
const assert = require('node:assert')
const { createClient } = require('@libsql/client/http')

async function main([url, authToken]) {
  const db = createClient({ url, authToken })
  let passed = 0
  const same = (given, expected) => { assert.deepStrictEqual(given, expected); passed += 1 }
  const values = async (sql, args) => (await db.execute({ sql, args })).rows.map((row) => [...Object.values(row)])

  await db.execute('CREATE TABLE given (id INTEGER PRIMARY KEY, value ANY) STRICT')
  const bytes = new Uint8Array([0, 255, 254]).buffer
  for (const value of ['grüß dich ☕', 1.5, 7, null, bytes]) {
    const written = await db.execute({ sql: 'INSERT INTO given (value) VALUES (?)', args: [value] })
    same(written.rowsAffected, 1)
  }
  same(await values('SELECT value FROM given ORDER BY id', []), [['grüß dich ☕'], [1.5], [7], [null], [bytes]])
  same(await values('SELECT :named AS one', { named: 'x' }), [['x']])
  const [first, second] = await db.batch(['DELETE FROM given WHERE id > 1 RETURNING id', 'SELECT count(*) FROM given'], 'write')
  same(first.rows.length, 4)
  same(Object.values(second.rows[0]), [1])
  const failing = ["INSERT INTO given (value) VALUES ('lost')", 'INSERT INTO given (id, value) VALUES (1, 1)']
  await assert.rejects(db.batch(failing, 'write'), (error) => /^SQLITE_CONSTRAINT/.test(error.code) && /UNIQUE constraint failed/.test(error.message))
  same(await values('SELECT count(*) FROM given', []), [[1]])
  await assert.rejects(db.execute('SELECT * FROM missing'), /no such table: missing/)
  const transaction = await db.transaction('write')
  await transaction.execute("UPDATE given SET value = 'undone'")
  await transaction.rollback()
  const kept = await db.transaction('write')
  await kept.execute("UPDATE given SET value = 'kept'")
  await kept.commit()
  same(await values('SELECT value FROM given', []), [['kept']])
  await db.executeMultiple('CREATE TABLE a (b); CREATE TABLE c (d);')
  same(await values("SELECT count(*) FROM sqlite_schema WHERE type = 'table'", []), [[3]])
  await assert.rejects(createClient({ url, authToken: 'wrong' }).execute('SELECT 1'), /401/)
  console.log(JSON.stringify({ passed: passed + 3 }))
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exitCode = 1 })
