package measure

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
)

// How near a frame is to the application's own code.
type rank uint8

const (
	plumbing rank = iota
	library
	application
)

const (
	mostNear  = 16
	far       = 64
	maxRanks  = 10_000
	maxLength = 200
)

var plumbingPackages = []string{
	"runtime.", "database/sql.", "github.com/jackc/",
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/internal/",
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go/pgx.",
	"github.com/pg-pool-exporter/pg-pool-exporter/clients/go.",
}

// The frames of this package that lead to callingSite.
const own = 3

// callingSite is the program counter of the innermost frame of application code, else of library
// code; 0 without one. It is resolved by describe, when it is read.
//
// Each frame costs some 50 ns. So it looks at the few frames first that most stacks have between
// the library and the application.
func callingSite(near int) uintptr {
	var few [mostNear]uintptr
	n := runtime.Callers(own, few[:near])
	found, is := choose(few[:n])
	if is != application && n == near {
		var many [far]uintptr
		n = runtime.Callers(own, many[:])
		found, _ = choose(many[:n])
	}
	return found
}

func choose(counters []uintptr) (uintptr, rank) {
	var found uintptr
	for _, pc := range counters {
		switch rankOf(pc) {
		case application:
			return pc, application
		case library:
			if found == 0 {
				found = pc
			}
		}
	}
	return found, library
}

// A map that is never changed, only replaced: it is read without a lock.
var (
	ranks   atomic.Pointer[map[uintptr]rank]
	ranking sync.Mutex
)

func rankOf(pc uintptr) rank {
	known := ranks.Load()
	if known != nil {
		if found, ok := (*known)[pc]; ok {
			return found
		}
	}
	frame := frameOf(pc)
	found := rankOfFrame(frame.Function, frame.File)
	ranking.Lock()
	defer ranking.Unlock()
	next := map[uintptr]rank{pc: found}
	if known = ranks.Load(); known != nil && len(*known) < maxRanks {
		maps.Copy(next, *known)
	}
	ranks.Store(&next)
	return found
}

func rankOfFrame(function, file string) rank {
	for _, prefix := range plumbingPackages {
		if strings.HasPrefix(function, prefix) {
			return plumbing
		}
	}
	switch {
	case isStandard(function, file):
		return plumbing
	case strings.Contains(file, "@v") || strings.Contains(file, "/vendor/"):
		return library
	}
	return application
}

// The directory of the standard library; empty in a program that was built with -trimpath.
var standard = func() string {
	file, _ := runtime.FuncForPC(reflect.ValueOf(strings.ToUpper).Pointer()).FileLine(0)
	return strings.TrimSuffix(file, "strings/strings.go")
}()

var mainModule = func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Path
	}
	return ""
}()

func isStandard(function, file string) bool {
	if standard != "" {
		return strings.HasPrefix(file, standard)
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(file, "vendor/"), "/")
	ours := strings.HasPrefix(function, "main.") || strings.HasPrefix(file, mainModule+"/")
	return !ours && !strings.Contains(first, ".")
}

// describe returns `file:line function`, the file with the directory that it is in.
func describe(pc uintptr) string {
	if pc == 0 {
		return "unknown"
	}
	frame := frameOf(pc)
	file := filepath.Join(filepath.Base(filepath.Dir(frame.File)), filepath.Base(frame.File))
	function := frame.Function[strings.LastIndex(frame.Function, "/")+1:]
	text := fmt.Sprintf("%s:%d %s", file, frame.Line, function)
	// The end has the line and the function.
	return text[max(len(text)-maxLength, 0):]
}

func frameOf(pc uintptr) runtime.Frame {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return frame
}
