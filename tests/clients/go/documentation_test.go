package clients

// The lines of docs/clients.md do what they say, as they stand there: only the address is another.

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const exampleLimit = 2 * time.Minute

// examples are the blocks of a language, with the address of the shared server in them.
func examples(t *testing.T, language string) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(top, "docs/clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	const documented = "127.0.0.1:8420"
	var found []string
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(block[1], documented) {
			t.Fatalf("a block without %s: %s", documented, block[1])
		}
		found = append(found, strings.ReplaceAll(block[1], documented, shared.endpoint))
	}
	return found
}

// run is what a command prints, as somebody with our key in the environment sees it.
func run(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	limit, cancel := context.WithTimeout(context.Background(), exampleLimit)
	defer cancel()
	command := exec.CommandContext(limit, name, arguments...)
	command.Env = append(os.Environ(),
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+accessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+accessKeySecret)
	told, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, told)
	}
	return string(told)
}

func TestTheDocumentedLinesListAnApplication(t *testing.T) {
	c, err := newClassic(shared.endpoint, accessKeySecret)
	if err != nil {
		t.Fatal(err)
	}
	id := application(t, c)
	blocks := examples(t, "go")
	same(t, "blocks", len(blocks), 2)
	for number, block := range blocks {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("example%d.go", number))
		if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}

		told := run(t, "go", "run", file)

		if !strings.Contains(told, id) {
			t.Errorf("%s is not in: %s\nof: %s", id, told, block)
		}
	}
}

// Where the program is not installed, and it cannot be had from a registry (docs/clients.md), its lines are only read: they
// must say everything that it needs to know of a server that is not Alibaba Cloud's.
func TestTheDocumentedCommandLineListsAnApplication(t *testing.T) {
	blocks := examples(t, "sh")
	same(t, "blocks", len(blocks), 1)
	for _, flag := range []string{"ListApplications", "--endpoint", "--force", "--version 2017-11-10"} {
		if !strings.Contains(blocks[0], flag) {
			t.Errorf("%s is not in: %s", flag, blocks[0])
		}
	}
	if _, err := exec.LookPath("aliyun"); err != nil {
		t.Log("no command aliyun: its lines were not run")
		return
	}
	c, err := newCommandLine(shared.endpoint, accessKeySecret, true)
	if err != nil {
		t.Fatal(err)
	}
	id := application(t, c)

	told := run(t, "sh", "-euc", blocks[0])

	if !strings.Contains(told, id) {
		t.Errorf("%s is not in: %s", id, told)
	}
}
