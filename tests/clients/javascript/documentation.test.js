'use strict';
// The lines of docs/clients.md do what they say, as they stand there: only the address is another.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { promisify } = require('node:util');

const { remove, template } = require('./applications');
const { OpenApiCore } = require('./clients');
const { ACCESS_KEY_ID, ACCESS_KEY_SECRET, Server } = require('./server');

const DOCUMENTED = '127.0.0.1:8420';
const PAGE = fs.readFileSync(path.resolve(__dirname, '../../../docs/clients.md'), 'utf8');
const BLOCKS = [...PAGE.matchAll(/^```js\n(.*?)^```$/gms)].map(([, block]) => block);

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

test('each client has its lines', () => {
  assert.equal(BLOCKS.length, 2);
});

for (const [number, block] of BLOCKS.entries()) {
  test(`the documented lines list an application: ${number + 1}`, async (context) => {
    const client = new OpenApiCore(server.endpoint);
    const { AppId } = await client.call('CreateApplication', { Template: template() });
    context.after(() => remove(client, AppId));
    assert.ok(block.includes(DOCUMENTED));

    const { stdout } = await promisify(execFile)('node', ['-e', block.replaceAll(DOCUMENTED, server.endpoint)], {
      timeout: 60_000,
      env: {
        ...process.env,
        ALIBABA_CLOUD_ACCESS_KEY_ID: ACCESS_KEY_ID,
        ALIBABA_CLOUD_ACCESS_KEY_SECRET: ACCESS_KEY_SECRET,
      },
    });

    assert.ok(stdout.includes(AppId), stdout);
  });
}
