package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** One application through its whole life, by each official client. */
class LifecycleTest extends WithServer {
    @ParameterizedTest
    @MethodSource("clients")
    void anApplicationLivesFromCreateToDelete(Client client) throws Exception {
        String id = application(client, template("v2", "oci:/none"));

        assertAcknowledged(
                client.call(
                        "RescaleApplication",
                        Map.of(
                                "AppId", id,
                                "RescaleType", "Add",
                                "RescaleLevel", "RegionId",
                                "ResourceSelector", DOCUMENTED_SELECTOR,
                                "ToAppVersion", "v2",
                                "Timeout", "1800")));
        assertEquals(
                Map.of("cn-wuxi-telecom_unicom_cmcc-3", 2, "cn-shanghai-cmcc", 4), nodes(running(client, id)));

        rescale(client, id, "Del", "RegionId", "[{\"regionCode\":\"cn-shanghai-cmcc\",\"count\":3}]");
        Map<String, Integer> left = Map.of("cn-wuxi-telecom_unicom_cmcc-3", 2, "cn-shanghai-cmcc", 1);
        assertEquals(left, nodes(running(client, id)));

        JsonObject described =
                inside(
                        client.call(
                                "DescribeApplication", Map.of("AppId", id, "AppVersions", "All", "Level", "RegionId")),
                        "Application");
        assertEquals("v2", described.getAsJsonObject("AppMetaData").get("AppStableVersion").getAsString());
        JsonObject detail = described.getAsJsonObject("DetailStat");
        assertEquals(3, detail.get("InstanceTotalCount").getAsInt());
        Map<String, Integer> districts = new TreeMap<>();
        for (JsonElement version : detail.getAsJsonArray("AppVersionStat")) {
            for (JsonElement district : version.getAsJsonObject().getAsJsonArray("DistrictStat")) {
                JsonObject counted = district.getAsJsonObject();
                districts.put(counted.get("RegionCode").getAsString(), counted.get("InstanceTotalCount").getAsInt());
            }
        }
        assertEquals(left, districts);

        remove(client, id);
        Client.Refused gone =
                assertThrows(
                        Client.Refused.class, () -> client.call("DescribeApplication", Map.of("AppId", id)));
        assertEquals("ens.interface.error", gone.code);
    }

    /** A member that is a string holding JSON. */
    private static JsonObject inside(JsonObject answer, String member) {
        return JsonParser.parseString(answer.get(member).getAsString()).getAsJsonObject();
    }

    @ParameterizedTest
    @MethodSource("clients")
    void aListKeepsItsWrapperObjects(Client client) throws Exception {
        String id = application(client);

        JsonObject answer =
                client.call("ListApplications", Map.of("ClusterNames", "poc", "PageNumber", "1", "PageSize", "100"));

        JsonObject cluster = answer.getAsJsonObject("Applications").getAsJsonArray("Application").get(0).getAsJsonObject();
        assertEquals("poc", cluster.get("ClusterName").getAsString());
        boolean listed = false;
        for (JsonElement app : cluster.getAsJsonObject("AppList").getAsJsonArray("App")) {
            if (app.getAsJsonObject().get("AppId").getAsString().equals(id)) {
                JsonObject status = inside(app.getAsJsonObject(), "AppInfo").getAsJsonObject("AppStatus");
                assertEquals("RUNNING", status.get("Phase").getAsString());
                listed = true;
            }
        }
        assertTrue(listed, answer::toString);
    }

    @ParameterizedTest
    @MethodSource("clients")
    void awkwardCharactersArriveAsTheyWereSent(Client client) throws Exception {
        String id = application(client);

        rescale(
                client,
                id,
                "Add",
                "RegionId",
                "[\t{\r\n\"regionCode\":\t\"cn-shanghai-cmcc\",  \"vendor\":\"+ *~/&=%'()!上海😀\", \"count\": 1}\t]");

        assertEquals(Map.of("cn-shanghai-cmcc", 1), nodes(running(client, id)));
    }

    @ParameterizedTest
    @MethodSource("clients")
    void theRegionsAreTheBuiltInEdgeNodesAndACodeOf0IsNoError(Client client) throws Exception {
        JsonObject answer = client.call("DescribeEnsRegions", Map.of());

        assertEquals(0, answer.get("Code").getAsInt());
        assertEquals(70, answer.getAsJsonObject("EnsRegions").getAsJsonArray("EnsRegions").size());
    }
}
