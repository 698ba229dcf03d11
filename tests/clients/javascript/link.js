'use strict';
// A way to a server that can be cut: a port of its own whose connections are passed on. Knows nothing of what they carry.

const { once } = require('node:events');
const net = require('node:net');

class Link {
  /** Passes on to `endpoint` (`host:port`); its own `endpoint` is what a client is given instead. */
  static async open(endpoint) {
    const link = new Link();
    const [host, port] = endpoint.split(':');
    link.sockets = new Set();
    link.listener = net.createServer((client) => {
      const server = net.connect(Number(port), host);
      for (const [source, sink] of [[client, server], [server, client]]) {
        link.sockets.add(source);
        source.pipe(sink);
        // Either end may break off; the other one is told by that.
        source.once('error', () => sink.destroy());
      }
    });
    link.listener.listen(0, '127.0.0.1');
    await once(link.listener, 'listening');
    link.endpoint = `127.0.0.1:${link.listener.address().port}`;
    return link;
  }

  /** Ends every connection, in the middle of whatever it says, and takes no more. */
  cut() {
    this.listener.close();
    for (const socket of this.sockets) {
      socket.destroy();
    }
  }
}

module.exports = { Link };
