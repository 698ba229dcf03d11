'use strict';
// A running `ensemble serve` for these tests: started on a free port with a data directory of its own, ended by its
// process id. Knows nothing of any SDK.

const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');

const TOP = path.resolve(__dirname, '../../..');
const BINARY = process.env.ENSEMBLE_BINARY || path.join(TOP, 'target/debug/ensemble');

const ACCESS_KEY_ID = 'LTAI5tEnsembleTestKey001';
const ACCESS_KEY_SECRET = 'EnsembleTestSecret0123456789Ab';

// DIR/credentials.toml of a server whose key may only read.
const READER_CREDENTIALS = `\
access_key_id = "${ACCESS_KEY_ID}"
access_key_secret = "${ACCESS_KEY_SECRET}"
account_id = "1234567890123456"
grants = ["ens:Describe*", "ens:List*"]
`;

const START_MS = 30_000;
const STOP_MS = 30_000;

class Server {
  /** Starts one, on the simulated engine unless told otherwise; returns once it is ready. */
  static async start({ credentials, engine = 'simulated' } = {}) {
    const server = new Server();
    server.engine = engine;
    server.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ensemble-javascript-'));
    const dataDir = path.join(server.directory, 'data');
    server.dataDir = dataDir;
    if (credentials) {
      fs.mkdirSync(dataDir, { mode: 0o700 });
      fs.writeFileSync(path.join(dataDir, 'credentials.toml'), credentials, { mode: 0o600 });
    }
    const log = path.join(server.directory, 'stderr.log');
    const options = ['serve', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--engine', engine];
    server.process = spawn(BINARY, options, {
      stdio: ['ignore', 'pipe', fs.openSync(log, 'w')],
      env: {
        PATH: process.env.PATH,
        HOME: server.directory,
        ENSEMBLE_ACCESS_KEY_ID: ACCESS_KEY_ID,
        ENSEMBLE_ACCESS_KEY_SECRET: ACCESS_KEY_SECRET,
      },
    });
    server.ended = new Promise((resolve) => server.process.once('close', resolve));
    const line = await server.firstLine();
    if (!line.startsWith('ready http://')) {
      await server.stop({ keep: true });
      throw new Error(`no ready line but '${line}'; its log:\n${fs.readFileSync(log, 'utf8')}`);
    }
    server.endpoint = line.slice('ready http://'.length).trim();
    return server;
  }

  firstLine() {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(''), START_MS);
      const lines = readline.createInterface({ input: this.process.stdout });
      const end = (line) => {
        clearTimeout(timer);
        resolve(line);
      };
      lines.once('line', end);
      this.ended.then(() => end(''));
    });
  }

  async stop({ keep } = {}) {
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    await this.ended;
    clearTimeout(timer);
    if (this.engine === 'embedded') {
      // Containers outlive their server; a test leaves none behind.
      const ended = spawnSync(BINARY, ['--data-dir', this.dataDir, 'dismantle', '--yes'], { encoding: 'utf8' });
      assert.equal(ended.status, 0, ended.stderr);
    }
    if (!keep) {
      fs.rmSync(this.directory, { recursive: true, force: true });
    }
  }
}

module.exports = { Server, ACCESS_KEY_ID, ACCESS_KEY_SECRET, READER_CREDENTIALS };
