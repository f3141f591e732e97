package databasesql

import (
	"database/sql/driver"
	"io"
	"reflect"
	"runtime"
)

// rows are the rows of a query. Rows that are dropped without being closed cost their slot: the
// pool keeps the connection, and nobody can return it.
type rows struct {
	driver.Rows
	cleanup runtime.Cleanup
}

func watch(driven driver.Rows, from *conn) driver.Rows {
	watched := &rows{Rows: driven}
	watched.cleanup = runtime.AddCleanup(watched, func(c *conn) { c.pool.Dropped(c) }, from)
	return watched
}

func (r *rows) Close() error {
	r.cleanup.Stop()
	return r.Rows.Close()
}

// What the driver doesn't know of its rows is answered as database/sql does for itself.

func (r *rows) HasNextResultSet() bool {
	driven, ok := r.Rows.(driver.RowsNextResultSet)
	return ok && driven.HasNextResultSet()
}

func (r *rows) NextResultSet() error {
	if driven, ok := r.Rows.(driver.RowsNextResultSet); ok {
		return driven.NextResultSet()
	}
	return io.EOF
}

func (r *rows) ColumnTypeScanType(index int) reflect.Type {
	if driven, ok := r.Rows.(driver.RowsColumnTypeScanType); ok {
		return driven.ColumnTypeScanType(index)
	}
	return reflect.TypeFor[any]()
}

func (r *rows) ColumnTypeDatabaseTypeName(index int) string {
	if driven, ok := r.Rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
		return driven.ColumnTypeDatabaseTypeName(index)
	}
	return ""
}

func (r *rows) ColumnTypeLength(index int) (int64, bool) {
	if driven, ok := r.Rows.(driver.RowsColumnTypeLength); ok {
		return driven.ColumnTypeLength(index)
	}
	return 0, false
}

func (r *rows) ColumnTypeNullable(index int) (nullable, ok bool) {
	if driven, ok := r.Rows.(driver.RowsColumnTypeNullable); ok {
		return driven.ColumnTypeNullable(index)
	}
	return false, false
}

func (r *rows) ColumnTypePrecisionScale(index int) (precision, scale int64, ok bool) {
	if driven, ok := r.Rows.(driver.RowsColumnTypePrecisionScale); ok {
		return driven.ColumnTypePrecisionScale(index)
	}
	return 0, 0, false
}
