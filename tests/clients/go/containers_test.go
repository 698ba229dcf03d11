package clients

// The whole way once with real containers: what the SDK was answered is what runs on this machine. Needs root.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"
)

func TestSixContainersAnswerAndGoAgain(t *testing.T) {
	if os.Geteuid() != 0 {
		skip(t, "containers need root")
	}
	s, err := start("embedded")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	c, err := newClassic(s.endpoint, accessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	image := "oci:" + filepath.Join(top, "target/hello-edge.oci")
	id := must(t, c, "CreateApplication", parameters{"Template": template("v2", image)}).text(t, "AppId")
	must(t, c, "RescaleApplication", parameters{
		"AppId": id, "RescaleType": "Add", "RescaleLevel": "RegionId", "ResourceSelector": documentedSelector,
		"ToAppVersion": "v2", "Timeout": "1800",
	})

	up := resources(running(t, c, id))

	var addresses []string
	instances, places := []string{}, []string{}
	for _, resource := range up {
		inside := resource["InternalIps"].([]any)[0].(map[string]any)["Ip"].(string)
		addresses = append(addresses, inside)
		page, err := page(inside)
		if err != nil {
			t.Fatal(err)
		}
		same(t, "version", page["ENS_APP_VERSION"], "v2")
		instances = append(instances, page.text(t, "ENS_INSTANCE_ID"))
		places = append(places, page.text(t, "ENS_REGION_ID"))
	}
	sort.Strings(instances)
	sort.Strings(places)
	same(t, "what the pages say of themselves", instances, column(t, up, "InstanceId"))
	same(t, "where", places, []string{
		"cn-shanghai-cmcc", "cn-shanghai-cmcc", "cn-shanghai-cmcc", "cn-shanghai-cmcc",
		"cn-wuxi-telecom_unicom_cmcc-3", "cn-wuxi-telecom_unicom_cmcc-3",
	})

	remove(t, c, id)
	if page, err := page(addresses[0]); err == nil {
		t.Errorf("%s still answers: %v", addresses[0], page)
	}
}

// page is what an instance's container answers on its own address.
func page(address string) (body, error) {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(fmt.Sprintf("http://%s:8080/", address))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said := body{}
	return said, json.NewDecoder(answer.Body).Decode(&said)
}

// skip says a test that cannot run by name, as all tests of the project do.
func skip(t *testing.T, reason string) {
	t.Helper()
	fmt.Printf("SKIPPED go_clients/%s: %s\n", t.Name(), reason)
	t.SkipNow()
}
