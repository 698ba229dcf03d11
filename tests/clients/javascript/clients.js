'use strict';
// The official SDKs, unchanged, behind one call: `client.call('RescaleApplication', { AppId })` answers the body or
// throws `Refused`. Only what an SDK's own user sets is set here: key, endpoint, and that it is plain HTTP.

const OpenApi = require('@alicloud/openapi-core');
const { RPCClient } = require('@alicloud/pop-core');
const { RuntimeOptions } = require('@darabonba/typescript');

const { ACCESS_KEY_ID, ACCESS_KEY_SECRET } = require('./server');

const VERSION = '2017-11-10';

/** An error as the SDK hands it to its user. */
class Refused extends Error {
  constructor(code, status, original) {
    super(`${code}: ${original.message}`);
    this.code = code;
    this.status = status;
    this.original = original;
  }
}

/** `@alicloud/pop-core`. Signs V1; with `method: 'POST'` everything goes into a form. */
class PopCore {
  constructor(endpoint, { key = ACCESS_KEY_ID, secret = ACCESS_KEY_SECRET, method = 'POST' } = {}) {
    this.method = method;
    this.client = new RPCClient({
      accessKeyId: key,
      accessKeySecret: secret,
      endpoint: `http://${endpoint}`,
      apiVersion: VERSION,
    });
  }

  async call(action, parameters = {}, options = {}) {
    try {
      return await this.client.request(action, parameters, { method: this.method, timeout: 10_000, ...options });
    } catch (error) {
      if (!error.code || !error.data) {
        throw error;
      }
      throw new Refused(error.code, error.entry.response.statusCode, error);
    }
  }

  close() {
    this.client.keepAliveAgent.destroy();
  }
}

/** `@alicloud/openapi-core`, the inside of the TypeScript SDKs. Signs V3; sends bodies in chunks. */
class OpenApiCore {
  constructor(endpoint, { key = ACCESS_KEY_ID, secret = ACCESS_KEY_SECRET } = {}) {
    this.client = new OpenApi.default(
      new OpenApi.$OpenApiUtil.Config({
        accessKeyId: key,
        accessKeySecret: secret,
        endpoint,
        protocol: 'HTTP',
      }),
    );
  }

  async call(action, parameters = {}, { body } = {}) {
    try {
      const request = this.request(parameters, body);
      return (await this.client.callApi(this.params(action, 'POST'), request, new RuntimeOptions({}))).body;
    } catch (error) {
      if (!error.code || !error.statusCode) {
        throw error;
      }
      throw new Refused(error.code, error.statusCode, error);
    }
  }

  /** The server-sent events of a stream, one after the other, each with `id`, `event` and `data` as text. */
  async *events(action, parameters) {
    // A server says at least every 15 s that it is still there.
    const runtime = new RuntimeOptions({ readTimeout: 30_000 });
    for await (const { event } of this.client.callSSEApi(this.params(action, 'GET'), this.request(parameters), runtime)) {
      yield event;
    }
  }

  params(action, method) {
    return new OpenApi.$OpenApiUtil.Params({
      action,
      version: VERSION,
      protocol: 'HTTPS',
      pathname: '/',
      method,
      authType: 'AK',
      style: 'RPC',
      reqBodyType: 'formData',
      bodyType: 'json',
    });
  }

  request(parameters, body) {
    const query = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
    return new OpenApi.$OpenApiUtil.OpenApiRequest({ query, body });
  }

  close() {}
}

/** Every client by its name. */
const CLIENTS = {
  'pop-core, POST': (endpoint, options) => new PopCore(endpoint, options),
  'pop-core, GET': (endpoint, options) => new PopCore(endpoint, { ...options, method: 'GET' }),
  'openapi-core': (endpoint, options) => new OpenApiCore(endpoint, options),
};

module.exports = { CLIENTS, PopCore, OpenApiCore, Refused };
