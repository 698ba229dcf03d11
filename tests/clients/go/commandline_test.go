package clients

// What the aliyun command line is known to send: its core is looked at as it leaves this machine, without a server.

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheCommandLinesRequestIsTheOneThatIsKnownOfIt(t *testing.T) {
	for _, force := range []bool{false, true} {
		sent := recorded(t, func(endpoint string) {
			c, err := newCommandLine(endpoint, accessKeySecret, force)
			if err != nil {
				t.Error(err)
				return
			}
			// The connection is closed without an answer, so this fails, as it is to.
			_, _ = c.call("RescaleApplication", parameters{"AppId": "a b*"})
		})

		if force {
			same(t, "method with --force", sent.Method, "GET")
		} else {
			same(t, "method by the metadata", sent.Method, "POST")
		}
		query := sent.URL.Query()
		for name, wanted := range map[string]string{
			"Action": "RescaleApplication", "Version": version, "Format": "JSON", "RegionId": "cn-hangzhou",
			"SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0", "SignatureType": "", "AppId": "a b*",
		} {
			if !query.Has(name) {
				t.Errorf("%s is not in %s", name, sent.URL)
			}
			same(t, name, query.Get(name), wanted)
		}
		if raw := sent.URL.RawQuery; !strings.Contains(raw, "AppId=a+b%2A") || !strings.Contains(raw, "SignatureType=&") {
			t.Errorf("a space is no +, or * is not encoded: %s", sent.URL.RawQuery)
		}
		same(t, "Content-Type of an empty body", sent.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
		same(t, "Authorization", sent.Header.Get("Authorization"), "")
		if !strings.Contains(sent.UserAgent(), "Aliyun-CLI/") {
			t.Errorf("user agent: %s", sent.UserAgent())
		}
	}
}

// recorded is the one request that is sent to an endpoint which answers nothing.
func recorded(t *testing.T, send func(endpoint string)) *http.Request {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(listener.Addr().String())
	}()
	_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
	request, err := http.ReadRequest(bufio.NewReader(connection))
	if err != nil {
		t.Fatal(err)
	}
	// The core may try again on another connection, which then is refused.
	listener.Close()
	connection.Close()
	<-sent
	return request
}
