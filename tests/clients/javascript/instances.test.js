'use strict';
// Instances by name, by each official client: taken by themselves, hosted, given back, and exactly the named one gone.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');

const { ids, remove, settled, template } = require('./applications');
const { CLIENTS } = require('./clients');
const { Server } = require('./server');

const NODE = 'cn-shanghai-cmcc';
const RELEASED_BY_NAME = { RescaleType: 'Del', RescaleLevel: 'InstanceId' };

/** A selector that names instances. */
const named = (...instanceIds) => JSON.stringify([{ instanceIds }]);

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

    /** The ids of an application's instances once it has settled. */
    async function running(AppId) {
      const answer = await settled(client, AppId);
      assert.equal(answer.AppStatus.Phase, 'RUNNING');
      return ids(answer);
    }

    async function threeRunning(AppId) {
      const ResourceSelector = JSON.stringify([{ regionCode: NODE, count: 3 }]);
      await client.call('RescaleApplication', { AppId, RescaleType: 'Add', ResourceSelector });
      return running(AppId);
    }

    /** Which of these exist by themselves, with the application that each is hosted by. */
    async function hosts(...instanceIds) {
      const { Instances } = await client.call('DescribeInstances', { InstanceIds: JSON.stringify(instanceIds) });
      return Object.fromEntries(Instances.Instance.map(({ InstanceId, HostedBy }) => [InstanceId, HostedBy]));
    }

    test('an instance is taken, hosted, given back and released', async (context) => {
      const taken = { InstanceType: 'ens.sn1.tiny', ScheduleAreaLevel: 'Region', EnsRegionId: NODE, Amount: 2 };
      const [one, two] = (await client.call('RunInstances', taken)).InstanceIds;
      assert.deepEqual(await hosts(one, two), { [one]: null, [two]: null });
      const AppId = await application(context);

      await client.call('RescaleApplication', {
        AppId,
        RescaleType: 'Add',
        RescaleLevel: 'InstanceId',
        ResourceSelector: named(one, two),
      });
      assert.deepEqual(await running(AppId), [one, two].sort());
      assert.deepEqual(await hosts(one, two), { [one]: AppId, [two]: AppId });
      const early = client.call('ReleaseInstance', { InstanceId: one });
      await assert.rejects(early, { code: 'InvalidParameter', status: 400 });

      await client.call('RescaleApplication', { AppId, ...RELEASED_BY_NAME, ResourceSelector: named(one) });
      assert.deepEqual(await running(AppId), [two]);
      assert.deepEqual(await hosts(one, two), { [one]: null, [two]: AppId });

      await client.call('ReleaseInstance', { InstanceId: one });
      assert.deepEqual(await hosts(one, two), { [two]: AppId });
      await client.call('RescaleApplication', { AppId, ...RELEASED_BY_NAME, ResourceSelector: named(two) });
      assert.deepEqual(await running(AppId), []);
      await client.call('ReleaseInstance', { InstanceId: two });
    });

    test('exactly the named instance goes, and the count falls', async (context) => {
      const AppId = await application(context);
      const [first, middle, last] = await threeRunning(AppId);

      await client.call('RescaleApplication', { AppId, ...RELEASED_BY_NAME, ResourceSelector: named(middle) });

      assert.deepEqual(await running(AppId), [first, last]);
      const { Application } = await client.call('DescribeApplication', { AppId, AppVersions: 'All' });
      assert.equal(JSON.parse(Application).DetailStat.InstanceTotalCount, 2);
    });

    test('the plan of a Del names its victim and is carried out, once', async (context) => {
      const AppId = await application(context);
      const [one, two, three] = await threeRunning(AppId);
      const asked = { AppId, ...RELEASED_BY_NAME, ResourceSelector: named(two) };

      const { Plan } = await client.call('PlanRescaleApplication', asked);
      const victims = Plan.Items.flatMap((item) => item.Placements).flatMap((placement) => placement.InstanceIds);
      assert.deepEqual(victims, [two]);
      assert.deepEqual(await running(AppId), [one, two, three]);
      await client.call('RescaleApplication', { ...asked, IfPlan: Plan.PlanId });

      assert.deepEqual(await running(AppId), [one, three]);
      const again = client.call('RescaleApplication', { ...asked, IfPlan: Plan.PlanId });
      await assert.rejects(again, { status: 400 });
      assert.deepEqual(await running(AppId), [one, three]);
    });
  });
}
