'use strict';
// What each official client's user sees when a call is refused: the documented code and status, unchanged.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { remove, settled, template } = require('./applications');
const { CLIENTS, Refused } = require('./clients');
const { ACCESS_KEY_ID, READER_CREDENTIALS, Server } = require('./server');

const ONE_MORE = '[{"regionCode":"cn-shanghai-cmcc","count":1}]';
const SOUND = { RescaleType: 'Add', RescaleLevel: 'RegionId', ResourceSelector: ONE_MORE };

const REFUSED = [
  ['a misspelt type', { RescaleType: 'add' }, 'InvalidParameter.RescaleType'],
  ['no selector', { ResourceSelector: '' }, 'MissingParameter'],
  ['a selector that is no JSON', { ResourceSelector: '[{' }, 'InvalidParameter.ResourceSelector'],
  ['an empty selector', { ResourceSelector: '[]' }, 'InvalidParameter.ResourceSelector'],
  ['an unknown level', { RescaleLevel: 'Planet' }, 'InvalidParameter.RescaleLevel'],
  ['an unknown version', { ToAppVersion: 'v9' }, 'InvalidParameter.ToAppVersion'],
  ['no time at all', { Timeout: 0 }, 'InvalidParameter.Timeout'],
  ['an unknown edge node', { ResourceSelector: ONE_MORE.replace('cmcc', 'cmc') }, 'InvalidParameter'],
  ['nothing to add', { ResourceSelector: ONE_MORE.replace('1', '0') }, 'InvalidParameter'],
  ['more than fits', { ResourceSelector: ONE_MORE.replace('1', '13') }, 'InvalidParameter'],
  ['releasing what is not there', { RescaleType: 'Del' }, 'InvalidParameter'],
  ['an unknown application', { AppId: '00000000-0000-4000-8000-000000000000' }, 'ens.interface.error'],
];

let server;
let readers;
before(async () => {
  server = await Server.start();
  readers = await Server.start({ credentials: READER_CREDENTIALS });
});
after(() => Promise.all([server.stop(), readers.stop()]));

/** The refusal of a call that must be refused. */
async function refusal(client, action, parameters) {
  const answer = await client.call(action, parameters).catch((error) => error);
  client.close();
  assert(answer instanceof Refused, `not refused by the server: ${answer}`);
  return answer;
}

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, () => {
    let AppId;
    before(async () => {
      const client = make(server.endpoint);
      AppId = (await client.call('CreateApplication', { Template: template() })).AppId;
      client.close();
    });

    for (const [what, change, code] of REFUSED) {
      test(`${what} has its documented code and changes nothing`, async () => {
        const client = make(server.endpoint);

        const refused = await refusal(client, 'RescaleApplication', { AppId, ...SOUND, ...change });

        assert.deepEqual([refused.code, refused.status], [code, 400]);
        const left = await settled(client, AppId);
        assert.equal(left.AppStatus.Phase, 'RUNNING');
        assert.deepEqual(left.ResourceInfos ?? [], []);
        client.close();
      });
    }

    after(async () => {
      const client = make(server.endpoint);
      await remove(client, AppId);
      client.close();
    });

    test('a wrong secret does not sign', async () => {
      const refused = await refusal(make(server.endpoint, { secret: 'wrong' }), 'ListApplications');

      assert.deepEqual([refused.code, refused.status], ['SignatureDoesNotMatch', 400]);
    });

    test('an unknown key is named as such', async () => {
      const key = `${ACCESS_KEY_ID.slice(0, -1)}9`;

      const refused = await refusal(make(server.endpoint, { key }), 'ListApplications');

      assert.deepEqual([refused.code, refused.status], ['InvalidAccessKeyId.NotFound', 404]);
    });

    test('an action that is not there is not found', async () => {
      const refused = await refusal(make(server.endpoint), 'RescaleUniverse');

      assert.deepEqual([refused.code, refused.status], ['InvalidAction.NotFound', 404]);
    });

    test('a key that may not is told so', async () => {
      const refused = await refusal(make(readers.endpoint), 'RescaleApplication', { AppId: 'none', ...SOUND });

      assert.deepEqual([refused.code, refused.status], ['NoPermission', 400]);
    });

    test('an error carries the whole body to the user', async () => {
      const { original } = await refusal(make(server.endpoint), 'DescribeApplication', { AppId: 'none' });

      const body = original.data;
      assert.equal(body.HostId ?? body.hostId, '127.0.0.1');
      assert(body.Recommend && body.Detail && body.RequestId, JSON.stringify(body));
    });
  });
}

test('what a key may not do is said in detail', async () => {
  const { original } = await refusal(CLIENTS['openapi-core'](readers.endpoint), 'CreateApplication', { Template: '{}' });

  assert.equal(original.accessDeniedDetail.AuthAction, 'ens:CreateApplication');
});
