'use strict';
// New versions and the way back, by each official client: a canary on one edge node, the rest, and all of it undone.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { DOCUMENTED_SELECTOR, remove, settled, template } = require('./applications');
const { CLIENTS } = require('./clients');
const { Server } = require('./server');

const CANARY = {
  toAppVersion: 'v2',
  descrip: 'a try',
  workload: [{ name: 'web', podSpec: { containers: [{ name: 'web', image: 'oci:/other' }] } }],
  upgradeStrategy: { name: 'ScheduleToRegionId', parameters: { operator: 'In', values: ['cn-shanghai-cmcc'] } },
};

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, () => {
    let client;
    before(() => (client = make(server.endpoint)));
    after(() => client.close());

    /** The stable version, and how many instances carry each, once the application has settled. */
    async function versions(AppId) {
      assert.equal((await settled(client, AppId)).AppStatus.Phase, 'RUNNING');
      const { Application } = await client.call('DescribeApplication', { AppId, AppVersions: 'All' });
      const { AppMetaData, DetailStat } = JSON.parse(Application);
      const carried = DetailStat.AppVersionStat.filter((version) => version.InstanceTotalCount > 0);
      const counts = carried.map((version) => [version.AppVersion, version.InstanceTotalCount]);
      return [AppMetaData.AppStableVersion, Object.fromEntries(counts)];
    }

    test('a version is tried on one edge node, then everywhere, and taken back', async (context) => {
      const { AppId } = await client.call('CreateApplication', { Template: template() });
      context.after(() => remove(client, AppId));
      const add = { RescaleType: 'Add', RescaleLevel: 'RegionId', ResourceSelector: DOCUMENTED_SELECTOR };
      await client.call('RescaleApplication', { AppId, ...add });
      assert.deepEqual(await versions(AppId), ['v1', { v1: 6 }]);

      const upgraded = await client.call('UpgradeApplication', {
        AppId,
        Template: JSON.stringify(CANARY),
        Timeout: 1800,
      });
      assert.deepEqual(Object.keys(upgraded).sort(), ['RequestId', 'TaskId']);
      assert.deepEqual(await versions(AppId), ['v1', { v1: 2, v2: 4 }]);

      await client.call('UpgradeApplication', { AppId, Template: '{"toAppVersion":"v2"}' });
      assert.deepEqual(await versions(AppId), ['v2', { v2: 6 }]);

      await client.call('RollbackApplication', { AppId, FromAppVersion: 'v2', ToAppVersion: 'v1' });
      assert.deepEqual(await versions(AppId), ['v1', { v1: 6 }]);
    });
  });
}
