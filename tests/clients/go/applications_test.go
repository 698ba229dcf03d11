package clients

// What these tests share: one server for all API tests, every client in turn, the words for a template, and the waits.

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"
)

// The example of RescaleApplication's own page, letter for letter.
const documentedSelector = `[{"regionCode": "cn-wuxi-telecom_unicom_cmcc-3", "ispCode": "telecom", "count": 2 },` +
	`{ "regionCode": "cn-shanghai-cmcc", "count": 4 }]`

const settledLimit = 30 * time.Second

// shared is on the simulated engine: the API is the same, and nothing of the machine is touched.
var shared *server

func TestMain(m *testing.M) {
	var err error
	if shared, err = start("simulated"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// each runs a test once for every client, side by side.
func each(t *testing.T, test func(t *testing.T, c client)) {
	for name, make := range clients {
		make := make
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, err := make(shared.endpoint, accessKeySecret)
			if err != nil {
				t.Fatal(err)
			}
			test(t, made)
		})
	}
}

// must is the answer of a call that is to be accepted.
func must(t *testing.T, c client, action string, given parameters) body {
	t.Helper()
	answer, err := c.call(action, given)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return answer
}

// text is a member that is to be a string.
func (b body) text(t *testing.T, name string) string {
	t.Helper()
	value, ok := b[name].(string)
	if !ok {
		t.Fatalf("%s is no string in %v", name, b)
	}
	return value
}

// template is one as CreateApplication takes it; the name is new each time.
func template(version, image string) string {
	tail := make([]byte, 4)
	_, _ = rand.Read(tail)
	return encoded(map[string]any{
		"appMetaData": map[string]any{
			"appName":     "hello-" + hex.EncodeToString(tail),
			"clusterName": "poc",
			"appType":     "Common",
			"description": "client test",
			"appVersion":  version,
		},
		"resourceAttribute": map[string]any{"instanceSpec": "ens.sn1.tiny"},
		"resourceSelector":  []any{},
		"workload":          workload(image),
	})
}

func workload(image string) []any {
	containers := []any{map[string]any{"name": "web", "image": image}}
	podSpec := map[string]any{"containers": containers}
	return []any{map[string]any{"name": "web", "podCount": 1, "podSpec": podSpec}}
}

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// application is the AppId of a new one without instances, deleted when its test ends.
func application(t *testing.T, c client) string {
	t.Helper()
	id := must(t, c, "CreateApplication", parameters{"Template": template("v1", "oci:/none")}).text(t, "AppId")
	t.Cleanup(func() { remove(t, c, id) })
	return id
}

// settled asks until the application's phase is a final one, and returns the last answer.
func settled(t *testing.T, c client, id string) body {
	t.Helper()
	for deadline := time.Now().Add(settledLimit); ; time.Sleep(50 * time.Millisecond) {
		answer := must(t, c, "DescribeDeviceService", parameters{"AppId": id})
		if phase := phase(answer); !strings.HasSuffix(phase, "ING") || phase == "RUNNING" {
			return answer
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s; the last answer: %v", settledLimit, answer)
		}
	}
}

func phase(answer body) string {
	status, _ := answer["AppStatus"].(map[string]any)
	return fmt.Sprint(status["Phase"])
}

// running is the same, and the application is to have come through.
func running(t *testing.T, c client, id string) body {
	t.Helper()
	answer := settled(t, c, id)
	if phase(answer) != "RUNNING" {
		t.Fatalf("not RUNNING: %v", answer["AppStatus"])
	}
	return answer
}

// remove deletes an application and waits until it is unknown; one that is gone already is fine.
func remove(t *testing.T, c client, id string) {
	t.Helper()
	_, err := c.call("DeleteApplication", parameters{"AppId": id})
	for deadline := time.Now().Add(settledLimit); err == nil; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("%s is still there after %s", id, settledLimit)
			return
		}
		_, err = c.call("DescribeDeviceService", parameters{"AppId": id})
	}
	if code(err) != "ens.interface.error" {
		t.Errorf("%s was not deleted: %v", id, err)
	}
}

func code(err error) string {
	var known *refused
	if errors.As(err, &known) {
		return known.code
	}
	return ""
}

// resources are the instances that an answer of DescribeDeviceService shows.
func resources(answer body) []body {
	listed, _ := answer["ResourceInfos"].([]any)
	found := make([]body, 0, len(listed))
	for _, one := range listed {
		if resource, ok := one.(map[string]any); ok {
			found = append(found, resource)
		}
	}
	return found
}

// column is one member of each, in order.
func column(t *testing.T, rows []body, name string) []string {
	t.Helper()
	values := make([]string, 0, len(rows))
	for _, row := range rows {
		values = append(values, row.text(t, name))
	}
	sort.Strings(values)
	return values
}

// nodes is how many instances an answer shows on each edge node.
func nodes(t *testing.T, answer body) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, node := range column(t, resources(answer), "RegionId") {
		counts[node]++
	}
	return counts
}

func same(t *testing.T, what string, got, wanted any) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		t.Fatalf("%s: %v, not %v", what, got, wanted)
	}
}
