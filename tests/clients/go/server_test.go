package clients

// A running `ensemble serve` for these tests: started on a free port with a data directory of its own, ended by its
// process id. Knows nothing of any SDK.

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	accessKeyID     = "LTAI5tEnsembleTestKey001"
	accessKeySecret = "EnsembleTestSecret0123456789Ab"

	startLimit = 30 * time.Second
	stopLimit  = 30 * time.Second
)

// top is the top of the repository: `go test` runs in the folder of the tests.
var top = func() string {
	here, err := filepath.Abs("../../..")
	if err != nil {
		panic(err)
	}
	return here
}()

func binary() string {
	if path := os.Getenv("ENSEMBLE_BINARY"); path != "" {
		return path
	}
	return filepath.Join(top, "target/debug/ensemble")
}

// server is a started one, and what is needed to end it.
type server struct {
	endpoint  string // host:port
	engine    string
	directory string
	process   *exec.Cmd
	ended     chan error
}

// start starts one; it returns once the server is ready.
func start(engine string) (*server, error) {
	directory, err := os.MkdirTemp("", "ensemble-go-")
	if err != nil {
		return nil, err
	}
	s := &server{engine: engine, directory: directory, ended: make(chan error, 1)}
	s.process = exec.Command(binary(), "serve", "--data-dir", s.dataDir(), "--listen", "127.0.0.1:0", "--engine", engine)
	s.process.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + directory,
		"ENSEMBLE_ACCESS_KEY_ID=" + accessKeyID,
		"ENSEMBLE_ACCESS_KEY_SECRET=" + accessKeySecret,
	}
	log, err := os.Create(filepath.Join(directory, "stderr.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.process.Stderr = log
	output, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("%w (cargo build makes it)", err)
	}
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(output).ReadString('\n')
		first <- strings.TrimSpace(line)
	}()
	var line string
	select {
	case line = <-first:
	case <-time.After(startLimit):
	}
	go func() { s.ended <- s.process.Wait() }()
	if !strings.HasPrefix(line, "ready http://") {
		told, _ := os.ReadFile(log.Name())
		_ = s.stop()
		return nil, fmt.Errorf("no ready line but %q; its log:\n%s", line, told)
	}
	s.endpoint = strings.TrimPrefix(line, "ready http://")
	return s, nil
}

func (s *server) dataDir() string { return filepath.Join(s.directory, "data") }

func (s *server) stop() error {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		_ = s.process.Process.Kill()
		<-s.ended
	}
	if s.engine == "embedded" {
		// Containers outlive their server; a test leaves none behind.
		told, err := exec.Command(binary(), "--data-dir", s.dataDir(), "dismantle", "--yes").CombinedOutput()
		if err != nil {
			return fmt.Errorf("dismantle: %w: %s", err, told)
		}
	}
	return os.RemoveAll(s.directory)
}
