package clients;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The lines of docs/clients.md do what they say, as they stand there: only the address is another. */
class DocumentationTest extends WithServer {
    private static final String DOCUMENTED = "127.0.0.1:8420";
    private static final Pattern BLOCK =
            Pattern.compile("^```java\n(.*?)^```$", Pattern.DOTALL | Pattern.MULTILINE);
    private static final int EXAMPLE_SECONDS = 60;

    @TempDir Path directory;

    @Test
    void theDocumentedLinesListAnApplication() throws Exception {
        String id = application(new Client.Classic(server.endpoint, Server.ACCESS_KEY_SECRET));
        String page = Files.readString(Server.TOP.resolve("docs/clients.md"));
        List<String> blocks = BLOCK.matcher(page).results().map((MatchResult found) -> found.group(1)).toList();
        assertEquals(2, blocks.size());
        for (String block : blocks) {
            assertTrue(block.contains(DOCUMENTED), block);
            String told = run(block.replace(DOCUMENTED, server.endpoint));
            assertTrue(told.contains(id), told);
        }
    }

    /** What a program prints, as somebody with our key in the environment sees it. */
    private String run(String program) throws Exception {
        Path source = Files.writeString(directory.resolve("Example.java"), program);
        Path output = directory.resolve("output");
        // As `java` itself compiles and runs a file.
        ProcessBuilder command =
                new ProcessBuilder("java", "-cp", System.getProperty("java.class.path"), source.toString());
        command.environment().put("ALIBABA_CLOUD_ACCESS_KEY_ID", Server.ACCESS_KEY_ID);
        command.environment().put("ALIBABA_CLOUD_ACCESS_KEY_SECRET", Server.ACCESS_KEY_SECRET);
        Process process = command.redirectErrorStream(true).redirectOutput(output.toFile()).start();
        if (!process.waitFor(EXAMPLE_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
        return Files.readString(output, StandardCharsets.UTF_8);
    }
}
