package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Named;

/**
 * What the tests of the API share: a server on the simulated engine, where the API is the same and nothing of the machine
 * is touched, every client in turn, the words for a template, and the waits.
 */
abstract class WithServer {
    /** The example of RescaleApplication's own page, letter for letter. */
    static final String DOCUMENTED_SELECTOR =
            "[{\"regionCode\": \"cn-wuxi-telecom_unicom_cmcc-3\", \"ispCode\": \"telecom\", \"count\": 2 },"
                    + "{ \"regionCode\": \"cn-shanghai-cmcc\", \"count\": 4 }]";

    private static final int SETTLED_MS = 30_000;

    static Server server;

    private final Map<String, Client> made = new HashMap<>();

    @BeforeAll
    static void startServer() throws Exception {
        server = new Server("simulated");
    }

    @AfterAll
    static void stopServer() throws Exception {
        // One that did not start was told of by its constructor.
        if (server != null) {
            server.close();
            server = null;
        }
    }

    static Stream<Named<Client>> clients() throws Exception {
        return Client.all(server.endpoint, Server.ACCESS_KEY_SECRET).entrySet().stream()
                .map(client -> Named.of(client.getKey(), client.getValue()));
    }

    /** A template as CreateApplication takes it; the name is new each time. */
    static String template(String version, String image) {
        String name = "hello-" + UUID.randomUUID().toString().substring(0, 8);
        return """
                {"appMetaData": {"appName": "%s", "clusterName": "poc", "appType": "Common", "appVersion": "%s",
                                 "description": "client test"},
                 "resourceAttribute": {"instanceSpec": "ens.sn1.tiny"}, "resourceSelector": [],
                 "workload": %s}"""
                .formatted(name, version, workload(image));
    }

    static String workload(String image) {
        return """
                [{"name": "web", "podCount": 1, "podSpec": {"containers": [{"name": "web", "image": "%s"}]}}]"""
                .formatted(image);
    }

    /** A new application without instances, deleted when its test ends. */
    String application(Client client) throws Exception {
        return application(client, template("v1", "oci:/none"));
    }

    String application(Client client, String template) throws Exception {
        JsonObject created = client.call("CreateApplication", Map.of("Template", template, "Timeout", "1800"));
        assertTrue(created.get("AppId").getAsString().matches("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"));
        assertAcknowledged(created);
        made.put(created.get("AppId").getAsString(), client);
        return created.get("AppId").getAsString();
    }

    @AfterEach
    void removeApplications() throws Exception {
        for (Map.Entry<String, Client> one : made.entrySet()) {
            remove(one.getValue(), one.getKey());
        }
    }

    static void assertAcknowledged(JsonObject answer) {
        assertTrue(answer.get("RequestId").getAsString().matches("[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}"));
    }

    static void rescale(Client client, String id, String type, String level, String selector) throws Exception {
        assertAcknowledged(
                client.call(
                        "RescaleApplication",
                        Map.of("AppId", id, "RescaleType", type, "RescaleLevel", level, "ResourceSelector", selector)));
    }

    /** Asks until the application's phase is a final one, which is to be RUNNING; returns the last answer. */
    static JsonObject running(Client client, String id) throws Exception {
        long deadline = System.currentTimeMillis() + SETTLED_MS;
        while (true) {
            JsonObject answer = client.call("DescribeDeviceService", Map.of("AppId", id));
            String phase = answer.getAsJsonObject("AppStatus").get("Phase").getAsString();
            if (phase.equals("RUNNING")) {
                return answer;
            }
            assertTrue(phase.endsWith("ING"), answer::toString);
            assertTrue(System.currentTimeMillis() < deadline, answer::toString);
            Thread.sleep(50);
        }
    }

    /** Deletes an application and waits until it is unknown; one that is gone already is fine. */
    static void remove(Client client, String id) throws Exception {
        long deadline = System.currentTimeMillis() + SETTLED_MS;
        try {
            client.call("DeleteApplication", Map.of("AppId", id));
            while (System.currentTimeMillis() < deadline) {
                client.call("DescribeDeviceService", Map.of("AppId", id));
                Thread.sleep(50);
            }
        } catch (Client.Refused gone) {
            assertEquals("ens.interface.error", gone.code);
            return;
        }
        throw new AssertionError(id + " is still there");
    }

    /** The instances that an answer of DescribeDeviceService shows. */
    static List<JsonObject> resources(JsonObject answer) {
        JsonElement listed = answer.get("ResourceInfos");
        if (listed == null || listed.isJsonNull()) {
            return List.of();
        }
        return StreamSupport.stream(listed.getAsJsonArray().spliterator(), false)
                .map(JsonElement::getAsJsonObject)
                .toList();
    }

    /** One member of each, in order. */
    static List<String> column(List<JsonObject> rows, String name) {
        return rows.stream().map(row -> row.get(name).getAsString()).sorted().toList();
    }

    /** How many instances an answer shows on each edge node. */
    static Map<String, Integer> nodes(JsonObject answer) {
        Map<String, Integer> counts = new TreeMap<>();
        column(resources(answer), "RegionId").forEach(node -> counts.merge(node, 1, Integer::sum));
        return counts;
    }
}
