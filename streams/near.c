/* Brings what objects are made of into the processor's cache, some objects at a time.

A worker's conversations are some hundred bytes here and some there, and there are more of them than the cache holds. Read
one behind the other, each place is waited for by itself; asked for together, they come together. Nothing is read that is
not checked to be what it was laid out as, nothing is kept, and nothing is changed: without it, all is the same and slower.
`streams/near.py` says what is brought. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

enum { MOST = 32, AT_ONCE = 32, LINE = 64 };
enum { INSIDE = -1, LAST = -2 };

typedef struct {
    int owner;          /* which of the things before this one holds it */
    Py_ssize_t place;   /* where in its owner; INSIDE: what a list or bytearray keeps, its end; LAST: the last of a list */
    PyTypeObject *type; /* what it is: anything else is left alone, and all that it would hold */
} Thing;

static Thing things[MOST];
static int laid = 0;

static void bring(const char *from, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i += LINE)
        __builtin_prefetch(from + i, 1);
    __builtin_prefetch(from + size - 1, 1);
}

static void bring_inside(PyObject *owner)
{
    if (Py_TYPE(owner) == &PyByteArray_Type) {
        PyByteArrayObject *bytes = (PyByteArrayObject *)owner;
        if (bytes->ob_start != NULL)
            bring(bytes->ob_start + Py_SIZE(bytes), 2 * LINE); /* where more is about to be added */
    } else if (Py_TYPE(owner) == &PyList_Type && Py_SIZE(owner) > 0) {
        bring((char *)&PyList_GET_ITEM(owner, Py_SIZE(owner) - 1), sizeof(PyObject *));
    }
}

static PyObject *held(PyObject *owner, Py_ssize_t place)
{
    if (place != LAST)
        return *(PyObject **)((char *)owner + place);
    if (Py_TYPE(owner) != &PyList_Type || Py_SIZE(owner) == 0)
        return NULL;
    return PyList_GET_ITEM(owner, Py_SIZE(owner) - 1);
}

static void follow(const Thing *thing, PyObject **owners, PyObject **found, Py_ssize_t n)
{
    PyTypeObject *type = things[thing->owner].type;
    for (Py_ssize_t i = 0; i < n; i++) {
        found[i] = NULL;
        if (owners[i] == NULL || Py_TYPE(owners[i]) != type)
            continue;
        if (thing->place == INSIDE) {
            bring_inside(owners[i]);
        } else if ((found[i] = held(owners[i], thing->place)) != NULL && found[i] != Py_None) {
            bring((char *)found[i], thing->type->tp_basicsize);
        }
    }
}

/* near(objects, start): bring the next 32 of them, from there on. */
static PyObject *near(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    if (n != 2 || !PyList_CheckExact(given[0])) {
        PyErr_SetString(PyExc_TypeError, "near(objects: list, start: int)");
        return NULL;
    }
    Py_ssize_t start = PyLong_AsSsize_t(given[1]);
    if (start < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "start: %zd", start);
    PyObject *found[MOST][AT_ONCE];
    Py_ssize_t some = 0, end = PyList_GET_SIZE(given[0]);
    for (Py_ssize_t i = start; laid > 0 && i < end && i < start + AT_ONCE; i++) {
        PyObject *one = PyList_GET_ITEM(given[0], i);
        if (one == Py_None)
            continue;
        found[0][some++] = one;
        bring((char *)one, things[0].type->tp_basicsize);
    }
    for (int thing = 1; thing < laid; thing++)
        follow(&things[thing], found[things[thing].owner], found[thing], some);
    Py_RETURN_NONE;
}

/* place(owner, value): where in its owner's memory a value stands; -1 where that is not sure. */
static PyObject *place(PyObject *self, PyObject *const *given, Py_ssize_t n)
{
    if (n != 2) {
        PyErr_SetString(PyExc_TypeError, "place(owner, value)");
        return NULL;
    }
    Py_ssize_t where = -1, size = Py_TYPE(given[0])->tp_basicsize;
    for (Py_ssize_t i = sizeof(PyObject); i + (Py_ssize_t)sizeof(PyObject *) <= size; i += sizeof(PyObject *)) {
        if (*(PyObject **)((char *)given[0] + i) != given[1])
            continue;
        if (where >= 0)
            return PyLong_FromLong(-1);
        where = i;
    }
    return PyLong_FromSsize_t(where);
}

/* lay(things): (owner, place, type) of each, the objects themselves first, owners before what they hold. */
static PyObject *lay(PyObject *self, PyObject *given)
{
    Thing fresh[MOST];
    Py_ssize_t n = PySequence_Size(given);
    if (n < 0)
        return NULL;
    if (n > MOST)
        return PyErr_Format(PyExc_ValueError, "%zd things: at most %d", n, MOST);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *one = PySequence_GetItem(given, i);
        int good = one != NULL && PyArg_ParseTuple(one, "inO!", &fresh[i].owner, &fresh[i].place, &PyType_Type, &fresh[i].type);
        Py_XDECREF(one);
        if (!good)
            return NULL;
        if (i > 0 && (fresh[i].owner < 0 || fresh[i].owner >= i || fresh[i].place < LAST))
            return PyErr_Format(PyExc_ValueError, "thing %zd: no such place", i);
    }
    for (int i = 0; i < n; i++) {
        Py_INCREF(fresh[i].type);
        things[i] = fresh[i];
    }
    laid = (int)n;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"near", (PyCFunction)(void (*)(void))near, METH_FASTCALL, "near(objects, start)"},
    {"place", (PyCFunction)(void (*)(void))place, METH_FASTCALL, "place(owner, value)"},
    {"lay", lay, METH_O, "lay(things)"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "streams._near", NULL, -1, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__near(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made != NULL
        && (PyModule_AddIntMacro(made, AT_ONCE) || PyModule_AddIntMacro(made, INSIDE) || PyModule_AddIntMacro(made, LAST)))
        Py_CLEAR(made);
    return made;
}
