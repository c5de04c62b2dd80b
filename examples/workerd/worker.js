// Short links. PUT /name with an address as the body makes one, GET /name leads there, DELETE /name
// removes it, and GET / lists them all.

export default {
  async fetch(request, env) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (!name) return Response.json(await everyLink(env.LINKS));
    switch (request.method) {
      case "PUT": {
        const address = await request.text();
        if (!URL.canParse(address)) return new Response("Not an address\n", { status: 400 });
        await env.LINKS.put(name, address, { metadata: { made: new Date().toISOString() } });
        return new Response(`/${name} leads to ${address}\n`, { status: 201 });
      }
      case "DELETE":
        await env.LINKS.delete(name);
        return new Response(null, { status: 204 });
      default: {
        const address = await env.LINKS.get(name);
        return address ? Response.redirect(address) : new Response("No such link\n", { status: 404 });
      }
    }
  },
};

async function everyLink(links) {
  const names = [];
  let page = { cursor: undefined };
  do {
    page = await links.list({ cursor: page.cursor });
    names.push(...page.keys.map((key) => ({ name: key.name, ...key.metadata })));
  } while (!page.list_complete);
  return names;
}
