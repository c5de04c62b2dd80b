// Asks a server that claims to be Upstash with Upstash's own client: URL and token are arguments.
const assert = require('node:assert')
const { Redis } = require('@upstash/redis')

async function main([url, token]) {
  const redis = new Redis({ url, token, retry: false, enableTelemetry: false })
  const raw = new Redis({ url, token, retry: false, enableTelemetry: false, automaticDeserialization: false })
  let passed = 0
  const same = (given, expected) => { assert.deepStrictEqual(given, expected); passed += 1 }

  same(await redis.set('greeting', 'grüß dich ☕'), 'OK')
  same(await redis.get('greeting'), 'grüß dich ☕')
  same(await raw.get('none'), null)
  same(await redis.set('greeting', 'x', { nx: true }), null)
  same(await redis.incrby('number', 5), 5)
  same(await redis.hset('hash', { a: '1', b: 'zwei' }), 2)
  same(await raw.hmget('hash', 'a', 'c', 'b'), ['1', null, 'zwei'])
  same(await redis.zadd('zset', { score: 0, member: 'b' }, { score: 0, member: 'a' }), 2)
  same(await redis.zrange('zset', '[a', '(b', { byLex: true }), ['a'])
  same(await raw.eval('return {KEYS[1], ARGV[1], 7, false}', ['k'], ['v']), ['k', 'v', 7, null])
  const script = raw.createScript('return ARGV[1]')
  same(await script.exec([], ['again']), 'again')
  const pipeline = redis.pipeline()
  pipeline.set('a', 1)
  pipeline.get('a')
  same(await pipeline.exec(), ['OK', 1])
  const transaction = redis.multi()
  transaction.set('a', 2)
  transaction.get('a')
  same(await transaction.exec(), ['OK', 2])
  await assert.rejects(redis.incr('greeting'), /not an integer/)
  await assert.rejects(new Redis({ url, token: 'wrong', retry: false }).get('a'), /WRONGPASS/)
  console.log(JSON.stringify({ passed: passed + 2 }))
}

main(process.argv.slice(2)).catch((error) => { console.error(error); process.exitCode = 1 })
