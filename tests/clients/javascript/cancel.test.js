'use strict';
// An operation that does not end by itself: canceled, and watched over a link that is cut. Its containers wait for an
// image whose registry nobody runs; needs root, though nothing is started.

const assert = require('node:assert/strict');
const { after, before, test } = require('node:test');

const { ids, remove, settled, template } = require('./applications');
const { CLIENTS, OpenApiCore } = require('./clients');
const { Link } = require('./link');
const { Server } = require('./server');

// Tried again and again until the operation's deadline.
const NOBODYS_IMAGE = '127.0.0.1:1/edge/nothing:v1';
const TWO = '[{"regionCode":"cn-shanghai-cmcc","count":2}]';

const skip = process.geteuid() !== 0 && 'containers need root';

let server;
before(async () => {
  if (!skip) {
    server = await Server.start({ engine: 'embedded' });
  }
});
after(() => server?.stop());

/** A test that says so where it cannot run. */
function containerTest(name, body) {
  if (skip) {
    console.log(`SKIPPED ${name.replaceAll(' ', '_')}: ${skip}`);
  }
  test(name, { skip }, body);
}

/** An application with an Add that stays in the middle. */
async function adding(client, context) {
  const { AppId } = await client.call('CreateApplication', { Template: template('v1', NOBODYS_IMAGE) });
  context.after(async () => {
    await remove(client, AppId);
    client.close();
  });
  const asked = { AppId, RescaleType: 'Add', ResourceSelector: TWO };
  const { RequestId } = await client.call('RescaleApplication', asked);
  return { AppId, OperationId: RequestId };
}

for (const [name, make] of Object.entries(CLIENTS)) {
  containerTest(`${name}: a running Add is canceled and undone`, async (context) => {
    const client = make(server.endpoint);
    const { AppId, OperationId } = await adding(client, context);
    const running = (await client.call('DescribeOperation', { OperationId })).Operation;
    assert.deepEqual([running.Status, running.Wanted, running.Ready], ['Running', 2, 0]);

    await client.call('CancelOperation', { OperationId, Mode: 'undo' });

    const answer = await settled(client, AppId);
    assert.equal(answer.AppStatus.Phase, 'UPDATE_FAILED');
    assert.deepEqual(ids(answer), []);
    assert.equal((await client.call('DescribeOperation', { OperationId })).Operation.Status, 'Canceled');
  });
}

containerTest('a watcher whose link was cut misses nothing until the end', async (context) => {
  const client = new OpenApiCore(server.endpoint);
  const { AppId, OperationId } = await adding(client, context);
  const link = await Link.open(server.endpoint);
  context.after(() => link.cut());
  const events = new OpenApiCore(link.endpoint).events('Watch', { OperationId });
  let since;
  while (!since) {
    since = (await events.next()).value.id;
  }

  const next = untilItBreaks(events);
  link.cut();
  await assert.rejects(next);
  await client.call('CancelOperation', { OperationId, Mode: 'undo' });
  await settled(client, AppId);
  const missed = [];
  for await (const event of client.events('Watch', { OperationId, Since: since })) {
    missed.push(event);
  }

  assert(missed.every(({ id }) => !id || Number(id) > Number(since)), JSON.stringify(missed));
  const told = missed.map(({ event, data }) => [event, JSON.parse(data)]);
  const gone = new Set(told.filter(([, data]) => data.InstanceStatus === 'Gone').map(([, data]) => data.InstanceId));
  assert.equal(gone.size, 2);
  const [event, last] = told.at(-1);
  assert.deepEqual([event, last.OperationId, last.Status], ['operation', OperationId, 'Canceled']);
});

async function untilItBreaks(events) {
  for await (const _ of events);
}
