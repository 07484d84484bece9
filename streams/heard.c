/* Copies the fields of an event into an object of compiled code, place by place. `streams/copied.py` says from where to where,
and has found it out by looking; an event that does not fit is left to `streams.heard.Heard.take`. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum { MOST = 64 };
enum { OBJECT, NUMBER, TRUTH };
#define SHORT_MOST (PY_SSIZE_T_MAX >> 1) /* what compiled code holds without an object: twice the number, as it is */

typedef struct {
    Py_ssize_t from, to; /* bytes from the beginning of each */
    int kind;
} Field;

static Field fields[MOST];
static int laid = 0;
static PyTypeObject *given_type = NULL, *taken_type = NULL;

static int number_of(PyObject *value, Py_ssize_t *number)
{
    if (!PyLong_CheckExact(value))
        return 0;
    int over = 0;
    long long is = PyLong_AsLongLongAndOverflow(value, &over);
    if (over || is > SHORT_MOST || is < -SHORT_MOST)
        return 0;
    *number = (Py_ssize_t)is * 2;
    return 1;
}

static int put(const Field *field, PyObject *value, char *to)
{
    if (field->kind == TRUTH) {
        *to = value == Py_True;
        return value == Py_True || value == Py_False;
    }
    if (field->kind == NUMBER) {
        Py_ssize_t was = *(Py_ssize_t *)to;
        if (!number_of(value, (Py_ssize_t *)to))
            return 0;
        if ((was & 1) && was != 1) /* a number so large was an object */
            Py_DECREF((PyObject *)(was & ~(Py_ssize_t)1));
        return 1;
    }
    PyObject *was = *(PyObject **)to;
    Py_INCREF(value);
    *(PyObject **)to = value;
    Py_XDECREF(was);
    return 1;
}

/* copy(event, heard): whether all of it was copied. */
static PyObject *copy(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n != 2 || Py_TYPE(args[0]) != given_type || Py_TYPE(args[1]) != taken_type) {
        PyErr_SetString(PyExc_TypeError, "copy(event, heard)");
        return NULL;
    }
    const char *from = (const char *)args[0];
    char *to = (char *)args[1];
    for (int i = 0; i < laid; i++) {
        PyObject *value = *(PyObject **)(from + fields[i].from);
        if (value == NULL || !put(&fields[i], value, to + fields[i].to))
            Py_RETURN_FALSE;
    }
    Py_RETURN_TRUE;
}

/* apart(a, b): where two objects of one type differ, in bytes from the beginning; -1: in more than one place, or in none. */
static PyObject *apart(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    if (n != 2 || Py_TYPE(args[0]) != Py_TYPE(args[1])) {
        PyErr_SetString(PyExc_TypeError, "apart(a, b): two objects of one type");
        return NULL;
    }
    const char *a = (const char *)args[0], *b = (const char *)args[1];
    Py_ssize_t where = -1, word = sizeof(PyObject *);
    for (Py_ssize_t i = sizeof(PyObject); i < Py_TYPE(args[0])->tp_basicsize; i++) {
        if (a[i] == b[i])
            continue;
        if (where >= 0 && i / word != where / word)
            return PyLong_FromLong(-1);
        if (where < 0)
            where = i;
    }
    return PyLong_FromSsize_t(where);
}

/* lay(event type, heard type, fields): (from, to, kind) of each. */
static PyObject *lay(PyObject *self, PyObject *args)
{
    PyTypeObject *from, *to;
    PyObject *list;
    Field fresh[MOST];
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyType_Type, &from, &PyType_Type, &to, &PyList_Type, &list))
        return NULL;
    Py_ssize_t n = PyList_GET_SIZE(list), word = sizeof(PyObject *);
    if (n > MOST)
        return PyErr_Format(PyExc_ValueError, "%zd fields: at most %d", n, MOST);
    for (Py_ssize_t i = 0; i < n; i++) {
        Field *one = &fresh[i];
        if (!PyArg_ParseTuple(PyList_GET_ITEM(list, i), "nni", &one->from, &one->to, &one->kind))
            return NULL;
        Py_ssize_t size = one->kind == TRUTH ? 1 : word;
        if (one->from < 0 || one->from % word || one->from + word > from->tp_basicsize || one->to < 0 || one->to % size
            || one->to + size > to->tp_basicsize)
            return PyErr_Format(PyExc_ValueError, "field %zd: no such place", i);
    }
    for (int i = 0; i < n; i++)
        fields[i] = fresh[i];
    laid = (int)n;
    Py_INCREF(from);
    Py_INCREF(to);
    given_type = from;
    taken_type = to;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"copy", (PyCFunction)(void (*)(void))copy, METH_FASTCALL, "copy(event, heard)"},
    {"apart", (PyCFunction)(void (*)(void))apart, METH_FASTCALL, "apart(a, b)"},
    {"lay", lay, METH_VARARGS, "lay(event type, heard type, fields)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "streams._heard", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__heard(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL
        && (PyModule_AddIntMacro(made, OBJECT) || PyModule_AddIntMacro(made, NUMBER) || PyModule_AddIntMacro(made, TRUTH)))
        Py_CLEAR(made);
    return made;
}
