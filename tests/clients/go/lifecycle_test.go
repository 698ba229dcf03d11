package clients

// One application through its whole life, by each official client.

import (
	"encoding/json"
	"regexp"
	"testing"
)

var (
	requestID = regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`)
	appID     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
)

func TestAnApplicationLivesFromCreateToDelete(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		created := must(t, c, "CreateApplication", parameters{"Template": template("v2", "oci:/none"), "Timeout": "1800"})
		id := created.text(t, "AppId")
		t.Cleanup(func() { remove(t, c, id) })
		if !appID.MatchString(id) || !requestID.MatchString(created.text(t, "RequestId")) {
			t.Fatalf("created: %v", created)
		}

		rescaled := must(t, c, "RescaleApplication", parameters{
			"AppId": id, "RescaleType": "Add", "RescaleLevel": "RegionId", "ResourceSelector": documentedSelector,
			"ToAppVersion": "v2", "Timeout": "1800",
		})
		if !requestID.MatchString(rescaled.text(t, "RequestId")) {
			t.Fatalf("rescaled: %v", rescaled)
		}
		up := map[string]int{"cn-wuxi-telecom_unicom_cmcc-3": 2, "cn-shanghai-cmcc": 4}
		same(t, "after Add", nodes(t, running(t, c, id)), up)

		must(t, c, "RescaleApplication", parameters{
			"AppId": id, "RescaleType": "Del", "RescaleLevel": "RegionId",
			"ResourceSelector": `[{"regionCode":"cn-shanghai-cmcc","count":3}]`,
		})
		down := map[string]int{"cn-wuxi-telecom_unicom_cmcc-3": 2, "cn-shanghai-cmcc": 1}
		same(t, "after Del", nodes(t, running(t, c, id)), down)

		counted := parameters{"AppId": id, "AppVersions": "All", "Level": "RegionId"}
		var described struct {
			AppMetaData struct{ AppId, AppStableVersion string }
			DetailStat  struct {
				InstanceTotalCount int
				AppVersionStat     []struct {
					DistrictStat []struct {
						RegionCode         string
						InstanceTotalCount int
					}
				}
			}
		}
		unpack(t, must(t, c, "DescribeApplication", counted).text(t, "Application"), &described)
		same(t, "AppMetaData", described.AppMetaData, struct{ AppId, AppStableVersion string }{id, "v2"})
		same(t, "InstanceTotalCount", described.DetailStat.InstanceTotalCount, 3)
		districts := map[string]int{}
		for _, district := range described.DetailStat.AppVersionStat[0].DistrictStat {
			districts[district.RegionCode] = district.InstanceTotalCount
		}
		same(t, "DistrictStat", districts, down)

		remove(t, c, id)
		_, err := c.call("DescribeApplication", parameters{"AppId": id})
		same(t, "once it is gone", code(err), "ens.interface.error")
	})
}

func unpack(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func TestAListKeepsItsWrapperObjects(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)

		answer := must(t, c, "ListApplications", parameters{"ClusterNames": "poc", "PageNumber": "1", "PageSize": "100"})

		var listed struct {
			Applications struct {
				Application []struct {
					ClusterName string
					AppList     struct {
						App []struct{ AppId, AppInfo string }
					}
				}
			}
		}
		unpack(t, encoded(answer), &listed)
		clusters := listed.Applications.Application
		if len(clusters) != 1 || clusters[0].ClusterName != "poc" {
			t.Fatalf("clusters: %v", clusters)
		}
		for _, app := range clusters[0].AppList.App {
			if app.AppId == id {
				var info struct{ AppStatus struct{ Phase string } }
				unpack(t, app.AppInfo, &info)
				same(t, "Phase", info.AppStatus.Phase, "RUNNING")
				return
			}
		}
		t.Fatalf("%s is not listed: %v", id, clusters)
	})
}

func TestAwkwardCharactersArriveAsTheyWereSent(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		id := application(t, c)

		must(t, c, "RescaleApplication", parameters{
			"AppId": id, "RescaleType": "Add",
			"ResourceSelector": "[\t{\r\n\"regionCode\":\t\"cn-shanghai-cmcc\",  \"vendor\":\"+ *~/&=%'()!上海😀\", \"count\": 1}\t]",
		})

		same(t, "nodes", nodes(t, running(t, c, id)), map[string]int{"cn-shanghai-cmcc": 1})
	})
}

func TestTheRegionsAreTheBuiltInEdgeNodesAndACodeOf0IsNoError(t *testing.T) {
	each(t, func(t *testing.T, c client) {
		answer := must(t, c, "DescribeEnsRegions", parameters{})

		var read struct {
			Code       int
			EnsRegions struct {
				EnsRegions []struct{ EnsRegionId string }
			}
		}
		unpack(t, encoded(answer), &read)
		same(t, "Code and regions", [2]int{read.Code, len(read.EnsRegions.EnsRegions)}, [2]int{0, 70})
	})
}
