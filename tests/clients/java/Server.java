package clients;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A running {@code ensemble serve} for these tests: started on a free port with a data directory of its own, ended by its
 * process id. Knows nothing of any SDK.
 */
final class Server {
    static final String ACCESS_KEY_ID = "LTAI5tEnsembleTestKey001";
    static final String ACCESS_KEY_SECRET = "EnsembleTestSecret0123456789Ab";

    /** The top of the repository: where the tests are started. */
    static final Path TOP = Path.of("").toAbsolutePath();

    private static final int START_SECONDS = 30;
    private static final int STOP_SECONDS = 30;

    /** {@code host:port}. */
    final String endpoint;

    private final String engine;
    private final Path directory;
    private final Process process;

    /** Starts one; it is ready then. */
    Server(String engine) throws IOException, InterruptedException {
        this.engine = engine;
        directory = Files.createTempDirectory("ensemble-java-");
        Path log = directory.resolve("stderr.log");
        ProcessBuilder command =
                new ProcessBuilder(
                        binary(), "serve", "--data-dir", dataDir(), "--listen", "127.0.0.1:0", "--engine", engine);
        Map<String, String> environment = command.environment();
        environment.keySet().retainAll(List.of("PATH"));
        environment.put("HOME", directory.toString());
        environment.put("ENSEMBLE_ACCESS_KEY_ID", ACCESS_KEY_ID);
        environment.put("ENSEMBLE_ACCESS_KEY_SECRET", ACCESS_KEY_SECRET);
        process = command.redirectError(log.toFile()).start();
        String line = firstLine();
        if (!line.startsWith("ready http://")) {
            String told = Files.readString(log);
            close();
            throw new IOException("no ready line but '" + line + "'; its log:\n" + told);
        }
        endpoint = line.substring("ready http://".length()).trim();
    }

    private static String binary() {
        String given = System.getenv("ENSEMBLE_BINARY");
        return given == null ? TOP.resolve("target/debug/ensemble").toString() : given;
    }

    private String dataDir() {
        return directory.resolve("data").toString();
    }

    private String firstLine() throws IOException, InterruptedException {
        BufferedReader output =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        try {
            String line =
                    CompletableFuture.supplyAsync(
                                    () -> {
                                        try {
                                            return output.readLine();
                                        } catch (IOException error) {
                                            return null;
                                        }
                                    })
                            .get(START_SECONDS, TimeUnit.SECONDS);
            return line == null ? "" : line;
        } catch (java.util.concurrent.ExecutionException | TimeoutException late) {
            return "";
        }
    }

    public void close() throws IOException, InterruptedException {
        process.destroy();
        if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
        if (engine.equals("embedded")) {
            // Containers outlive their server; a test leaves none behind.
            Process end =
                    new ProcessBuilder(binary(), "--data-dir", dataDir(), "dismantle", "--yes")
                            .redirectErrorStream(true)
                            .start();
            String told = new String(end.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            if (end.waitFor() != 0) {
                throw new IOException("dismantle: " + told);
            }
        }
        try (var files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }
}
