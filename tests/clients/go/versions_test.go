package clients

// New versions and the way back, by each official client: a canary on one edge node, the rest, and all of it undone.

import "testing"

func TestAVersionIsTriedOnOneEdgeNodeThenEverywhereAndTakenBack(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)
		must(t, c, "RescaleApplication", parameters{
			"AppId": id, "RescaleType": "Add", "RescaleLevel": "RegionId", "ResourceSelector": documentedSelector,
		})
		same(t, "before", versions(t, c, id), map[string]int{"v1": 6})

		canary := encoded(map[string]any{
			"toAppVersion": "v2", "descrip": "a try", "workload": workload("oci:/other"),
			"upgradeStrategy": map[string]any{
				"name":       "ScheduleToRegionId",
				"parameters": map[string]any{"operator": "In", "values": []string{"cn-shanghai-cmcc"}},
			},
		})
		upgraded := must(t, c, "UpgradeApplication", parameters{"AppId": id, "Template": canary, "Timeout": "1800"})
		if !requestID.MatchString(upgraded.text(t, "RequestId")) || !appID.MatchString(upgraded.text(t, "TaskId")) {
			t.Fatalf("upgraded: %v", upgraded)
		}
		same(t, "with a canary", versions(t, c, id), map[string]int{"v1": 2, "v2": 4})
		same(t, "stable with a canary", stable(t, c, id), "v1")

		must(t, c, "UpgradeApplication", parameters{"AppId": id, "Template": `{"toAppVersion":"v2"}`})
		same(t, "everywhere", versions(t, c, id), map[string]int{"v2": 6})
		same(t, "stable everywhere", stable(t, c, id), "v2")

		must(t, c, "RollbackApplication", parameters{"AppId": id, "FromAppVersion": "v2", "ToAppVersion": "v1"})
		same(t, "taken back", versions(t, c, id), map[string]int{"v1": 6})
		same(t, "stable when taken back", stable(t, c, id), "v1")
	})
}

type described struct {
	AppMetaData struct{ AppStableVersion string }
	DetailStat  struct {
		AppVersionStat []struct {
			AppVersion         string
			InstanceTotalCount int
		}
	}
}

func describe(t *testing.T, c client, id string) described {
	t.Helper()
	var read described
	unpack(t, must(t, c, "DescribeApplication", parameters{"AppId": id, "AppVersions": "All"}).text(t, "Application"), &read)
	return read
}

// versions is how many instances carry each version, once the application has settled.
func versions(t *testing.T, c client, id string) map[string]int {
	t.Helper()
	running(t, c, id)
	counts := map[string]int{}
	for _, version := range describe(t, c, id).DetailStat.AppVersionStat {
		if version.InstanceTotalCount > 0 {
			counts[version.AppVersion] = version.InstanceTotalCount
		}
	}
	return counts
}

func stable(t *testing.T, c client, id string) string {
	t.Helper()
	return describe(t, c, id).AppMetaData.AppStableVersion
}
