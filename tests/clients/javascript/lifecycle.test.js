'use strict';
// One application through its whole life, by each official client: create, plan, rescale, describe, list, delete.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { DOCUMENTED_SELECTOR, nodes, remove, settled, template } = require('./applications');
const { CLIENTS } = require('./clients');
const { Server } = require('./server');

const REQUEST_ID = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/;
const APP_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const DOCUMENTED = { RescaleType: 'Add', RescaleLevel: 'RegionId', ResourceSelector: DOCUMENTED_SELECTOR };

let server;
before(async () => (server = await Server.start()));
after(() => server.stop());

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, () => {
    let client;
    before(() => (client = make(server.endpoint)));
    after(() => client.close());

    /** A new application without instances, deleted when its test ends. */
    async function application(context) {
      const { AppId } = await client.call('CreateApplication', { Template: template() });
      context.after(() => remove(client, AppId));
      return AppId;
    }

    test('an application lives from create to delete', async () => {
      const created = await client.call('CreateApplication', { Template: template('v2') });
      const AppId = created.AppId;
      assert.match(AppId, APP_ID);
      assert.match(created.RequestId, REQUEST_ID);

      const rescaled = await client.call('RescaleApplication', {
        ...DOCUMENTED,
        AppId,
        ToAppVersion: 'v2',
        Timeout: 1800,
      });
      assert.deepEqual(Object.keys(rescaled), ['RequestId']);
      assert.match(rescaled.RequestId, REQUEST_ID);
      const up = await settled(client, AppId);
      assert.equal(up.AppStatus.Phase, 'RUNNING');
      assert.deepEqual(nodes(up), { 'cn-wuxi-telecom_unicom_cmcc-3': 2, 'cn-shanghai-cmcc': 4 });

      await client.call('RescaleApplication', {
        AppId,
        RescaleType: 'Del',
        RescaleLevel: 'RegionId',
        ResourceSelector: '[{"regionCode":"cn-shanghai-cmcc","count":3}]',
      });
      const down = await settled(client, AppId);
      assert.deepEqual(nodes(down), { 'cn-wuxi-telecom_unicom_cmcc-3': 2, 'cn-shanghai-cmcc': 1 });

      await remove(client, AppId);
      await assert.rejects(client.call('DescribeApplication', { AppId }), { code: 'ens.interface.error' });
    });

    test('the counts of DescribeApplication are those of the devices', async (context) => {
      const AppId = await application(context);
      await client.call('RescaleApplication', { ...DOCUMENTED, AppId });
      const devices = nodes(await settled(client, AppId));

      const answer = await client.call('DescribeApplication', { AppId, AppVersions: 'All', Level: 'RegionId' });

      assert.equal(typeof answer.Application, 'string');
      const detail = JSON.parse(answer.Application).DetailStat;
      assert.deepEqual([detail.InstanceTotalCount, detail.InstanceRunningCount], [6, 6]);
      const districts = detail.AppVersionStat.flatMap((version) => version.DistrictStat);
      const counts = districts.map((district) => [district.RegionCode, district.InstanceTotalCount]);
      assert.deepEqual(Object.fromEntries(counts), devices);
    });

    test('a list keeps its wrapper objects', async (context) => {
      const AppId = await application(context);

      const answer = await client.call('ListApplications', { ClusterNames: 'poc' });

      const clusters = answer.Applications.Application;
      assert.deepEqual(clusters.map((cluster) => cluster.ClusterName), ['poc']);
      const listed = clusters.flatMap((cluster) => cluster.AppList.App).filter((app) => app.AppId === AppId);
      assert.equal(listed.length, 1);
      assert.equal(JSON.parse(listed[0].AppInfo).AppStatus.Phase, 'RUNNING');
    });

    test('a plan changes nothing and is then carried out to the letter', async (context) => {
      const AppId = await application(context);
      const asked = { AppId, RescaleType: 'Add', ResourceSelector: '[{"regionCode":"310100","count":3}]' };

      const { Plan } = await client.call('PlanRescaleApplication', asked);
      assert.equal(Plan.Fits, true);
      assert.deepEqual(nodes(await settled(client, AppId)), {});
      await client.call('RescaleApplication', { ...asked, IfPlan: Plan.PlanId });

      const placed = Plan.Items.flatMap((item) => item.Placements);
      const planned = {};
      for (const { EnsRegionId, Before, After } of placed) {
        planned[EnsRegionId] = (planned[EnsRegionId] ?? 0) + After - Before;
      }
      assert.deepEqual(nodes(await settled(client, AppId)), planned);
    });

    test('awkward characters arrive as they were sent', async (context) => {
      const AppId = await application(context);
      const ResourceSelector = '[\t{\r\n"regionCode":\t"cn-shanghai-cmcc",  "vendor":"+ *~/&=%\'()!上海😀", "count": 1}\t]';

      await client.call('RescaleApplication', { AppId, RescaleType: 'Add', ResourceSelector });

      assert.deepEqual(nodes(await settled(client, AppId)), { 'cn-shanghai-cmcc': 1 });
    });

    test('the regions are the built-in edge nodes, and a code of 0 is no error', async () => {
      const answer = await client.call('DescribeEnsRegions');

      assert.equal(answer.Code, 0);
      assert.equal(answer.EnsRegions.EnsRegions.length, 70);
    });
  });
}

test('parameters in a form that is sent in chunks are read with those of the query', async () => {
  const client = CLIENTS['openapi-core'](server.endpoint);

  const answer = await client.call('PlanRescaleApplication', { RescaleType: 'Add' }, {
    body: { AppId: 'none', ResourceSelector: '[{"count":1}]' },
  }).catch((error) => error);

  assert.equal(answer.code, 'ens.interface.error');
});

test('the first letter of actions and parameters may be small in pop-core', async () => {
  const client = CLIENTS['pop-core, POST'](server.endpoint);

  const answer = await client.call('listApplications', { clusterNames: 'nothing' });
  client.close();

  assert.equal(answer.TotalCount, 0);
});
