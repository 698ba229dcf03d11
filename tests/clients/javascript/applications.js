'use strict';
// What these tests share: the words for a template, and the waits.

const { randomUUID } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');

const { Refused } = require('./clients');

// RescaleApplication's own example, letter for letter.
const DOCUMENTED_SELECTOR =
  '[{"regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "telecom", "count": 2 },' +
  '{ "regionCode": "cn-shanghai-cmcc", "count": 4 }]';

const SETTLED_MS = 30_000;
const UNSETTLED = new Set(['CREATING', 'UPDATING', 'DELETING']);

/** A template as `CreateApplication` takes it; the name is new each time. */
function template(version = 'v1', image = 'oci:/none') {
  return JSON.stringify({
    appMetaData: {
      appName: `hello-${randomUUID().slice(0, 8)}`,
      clusterName: 'poc',
      appType: 'Common',
      description: 'client test',
      appVersion: version,
    },
    resourceAttribute: { instanceSpec: 'ens.sn1.tiny' },
    resourceSelector: [],
    workload: [{ name: 'web', podCount: 1, podSpec: { containers: [{ name: 'web', image }] } }],
  });
}

/** Asks DescribeDeviceService until the application's phase is a final one, and returns the last answer. */
function settled(client, appId) {
  return poll(
    () => client.call('DescribeDeviceService', { AppId: appId }),
    (answer) => !UNSETTLED.has(answer.AppStatus.Phase),
  );
}

/** Deletes an application and waits until it is unknown. */
async function remove(client, appId) {
  await client.call('DeleteApplication', { AppId: appId });
  try {
    await poll(() => client.call('DescribeDeviceService', { AppId: appId }), () => false);
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== 'ens.interface.error') {
      throw error;
    }
  }
}

/** The ids of the instances that an answer of DescribeDeviceService shows, in their order. */
function ids(answer) {
  return (answer.ResourceInfos ?? []).map(({ InstanceId }) => InstanceId).sort();
}

/** How many instances an answer of DescribeDeviceService shows on each edge node. */
function nodes(answer) {
  const counts = {};
  for (const { RegionId } of answer.ResourceInfos ?? []) {
    counts[RegionId] = (counts[RegionId] ?? 0) + 1;
  }
  return counts;
}

async function poll(ask, isDone) {
  const deadline = Date.now() + SETTLED_MS;
  for (;;) {
    const answer = await ask();
    if (isDone(answer)) {
      return answer;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${SETTLED_MS} ms; the last answer: ${JSON.stringify(answer)}`);
    }
    await sleep(50);
  }
}

module.exports = { DOCUMENTED_SELECTOR, template, settled, remove, ids, nodes };
