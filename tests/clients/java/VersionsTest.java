package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** New versions and the way back, by each official client: a canary on one edge node, the rest, and all of it undone. */
class VersionsTest extends WithServer {
    @ParameterizedTest
    @MethodSource("clients")
    void aVersionIsTriedOnOneEdgeNodeThenEverywhereAndTakenBack(Client client) throws Exception {
        String id = application(client);
        rescale(client, id, "Add", "RegionId", DOCUMENTED_SELECTOR);
        assertEquals(Map.of("v1", 6), versions(client, id));

        String canary =
                """
                {"toAppVersion": "v2", "descrip": "a try", "workload": %s,
                 "upgradeStrategy": {"name": "ScheduleToRegionId",
                                     "parameters": {"operator": "In", "values": ["cn-shanghai-cmcc"]}}}"""
                        .formatted(workload("oci:/other"));
        JsonObject upgraded =
                client.call("UpgradeApplication", Map.of("AppId", id, "Template", canary, "Timeout", "1800"));
        assertAcknowledged(upgraded);
        assertTrue(upgraded.get("TaskId").getAsString().matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
        assertEquals(Map.of("v1", 2, "v2", 4), versions(client, id));
        assertEquals("v1", stable(client, id));

        client.call("UpgradeApplication", Map.of("AppId", id, "Template", "{\"toAppVersion\":\"v2\"}"));
        assertEquals(Map.of("v2", 6), versions(client, id));
        assertEquals("v2", stable(client, id));

        assertAcknowledged(
                client.call(
                        "RollbackApplication", Map.of("AppId", id, "FromAppVersion", "v2", "ToAppVersion", "v1")));
        assertEquals(Map.of("v1", 6), versions(client, id));
        assertEquals("v1", stable(client, id));
    }

    /** How many instances carry each version, once the application has settled. */
    private static Map<String, Integer> versions(Client client, String id) throws Exception {
        running(client, id);
        Map<String, Integer> counts = new TreeMap<>();
        for (JsonElement version : describe(client, id).getAsJsonObject("DetailStat").getAsJsonArray("AppVersionStat")) {
            int count = version.getAsJsonObject().get("InstanceTotalCount").getAsInt();
            if (count > 0) {
                counts.put(version.getAsJsonObject().get("AppVersion").getAsString(), count);
            }
        }
        return counts;
    }

    private static String stable(Client client, String id) throws Exception {
        return describe(client, id).getAsJsonObject("AppMetaData").get("AppStableVersion").getAsString();
    }

    private static JsonObject describe(Client client, String id) throws Exception {
        JsonObject answer = client.call("DescribeApplication", Map.of("AppId", id, "AppVersions", "All"));
        return JsonParser.parseString(answer.get("Application").getAsString()).getAsJsonObject();
    }
}
