/* Scores serialised tf.train.Examples with an exported model, in C.

   It needs TensorFlow's C API and nothing else: the headers and libraries that
   `pip install tensorflow` brings, or those of libtensorflow.

       TF=$(python3 -c 'import tensorflow as tf; print(tf.sysconfig.get_lib())')
       gcc -O2 -std=c11 -Wall -Wextra -Werror -isystem "$TF/include" \
           -o score_examples scripts/score_examples.c "$TF/libtensorflow_cc.so.2" \
           "$TF/libtensorflow_framework.so.2" -Wl,-rpath,"$TF"

       ./score_examples demo/export/1 examples.tfrecord

   EXPORT is one version of an exported model, RECORDS an uncompressed TFRecord file.
   One probability a line goes to standard output, in the records' order. On an error
   one sentence, which begins with the program's name, goes to standard error, and the
   exit code is 2. TensorFlow writes lines of its own there, with the environment
   variable TF_CPP_MIN_LOG_LEVEL=3 only those of its start.

   The names of the tensors that a signature reads and gives differ from export to
   export. They are looked up in the model's MetaGraphDef: TF_LoadSessionFromSavedModel
   returns it serialised, and the few lines below that read protobuf's wire format
   spare a library for it. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { BATCH_SIZE = 1024 };

static const char USAGE[] =
    "usage: score_examples EXPORT RECORDS [SIGNATURE]\n"
    "EXPORT: a version of an exported model, demo/export/1 say\n"
    "RECORDS: an uncompressed TFRecord file of serialised tf.train.Examples\n"
    "SIGNATURE: with the input `examples`; by default predict_examples\n";

static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout); /* what has been scored comes first */
    fputs("score_examples: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

/* The first line of a status's message: what follows may be a whole graph. */
static const char *reason(const TF_Status *status)
{
    static char line[400];
    snprintf(line, sizeof line, "%s", TF_Message(status));
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);
    if (memory == NULL)
        fail("expected %zu bytes of memory, received none.", size);
    return memory;
}

/* --- Protobuf's wire format: a message is a row of fields, each behind its number. */

typedef struct {
    const uint8_t *begin, *end; /* begin is NULL where there is no such field */
} Bytes;

static uint64_t take_varint(Bytes *rest)
{
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && rest->begin < rest->end; shift += 7) {
        uint8_t byte = *rest->begin++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    fail("MetaGraphDef: expected a number, received other bytes.");
}

/* Takes a field off the rest of a message: its number, 0 at the end. Its value is left
   empty where it is itself a number, which nothing here needs. */
static uint64_t take_field(Bytes *rest, Bytes *value)
{
    if (rest->begin == rest->end)
        return 0;
    uint64_t tag = take_varint(rest), size = 0;
    switch (tag & 7) {
    case 0:
        take_varint(rest);
        break;
    case 1:
        size = 8;
        break;
    case 2:
        size = take_varint(rest);
        break;
    case 5:
        size = 4;
        break;
    default:
        fail("MetaGraphDef: expected a field, received other bytes.");
    }
    if (size > (uint64_t)(rest->end - rest->begin))
        fail("MetaGraphDef: expected a whole field, received a part of one.");
    *value = (Bytes){rest->begin, rest->begin + size};
    rest->begin += size;
    return tag >> 3;
}

static Bytes field(Bytes message, uint64_t number)
{
    Bytes value, found = {NULL, NULL};
    for (uint64_t n; (n = take_field(&message, &value)) != 0;)
        if (n == number)
            found = value;
    return found;
}

/* The value of a key in a map: a message {key = 1; value = 2;} for each entry. */
static Bytes entry(Bytes message, uint64_t number, const char *key)
{
    Bytes value, found = {NULL, NULL};
    for (uint64_t n; (n = take_field(&message, &value)) != 0;) {
        if (n != number)
            continue;
        Bytes name = field(value, 1);
        size_t size = (size_t)(name.end - name.begin);
        if (size == strlen(key) && memcmp(name.begin, key, size) == 0)
            found = field(value, 2);
    }
    return found;
}

/* --- The model. */

typedef struct {
    TF_Graph *graph;
    TF_Session *session;
    TF_Output examples, probability;
    TF_Status *status;
} Model;

/* The tensor `operation:index` that an input or output of a signature stands for. */
static TF_Output tensor_of(TF_Graph *graph, Bytes signature, uint64_t number,
                           const char *signature_name, const char *key)
{
    const char *kind = number == 1 ? "input" : "output";
    Bytes name = field(entry(signature, number, key), 1); /* TensorInfo.name */
    if (name.begin == NULL)
        fail("signature %s: expected the %s %s, received none of this name.",
             signature_name, kind, key);
    char text[400];
    snprintf(text, sizeof text, "%.*s", (int)(name.end - name.begin),
             (const char *)name.begin);
    char *colon = strrchr(text, ':');
    int index = 0;
    if (colon != NULL) {
        *colon = '\0';
        index = atoi(colon + 1);
    }
    TF_Operation *operation = TF_GraphOperationByName(graph, text);
    if (operation == NULL || index < 0 || index >= TF_OperationNumOutputs(operation))
        fail("signature %s: expected an operation %s in the graph, received none.",
             signature_name, text);
    return (TF_Output){operation, index};
}

static Model load_model(const char *path, const char *signature_name)
{
    Model model = {.graph = TF_NewGraph(), .status = TF_NewStatus()};
    TF_SessionOptions *options = TF_NewSessionOptions();
    TF_Buffer *meta_graph = TF_NewBuffer();
    const char *tags[] = {"serve"};
    model.session = TF_LoadSessionFromSavedModel(
        options, NULL, path, tags, 1, model.graph, meta_graph, model.status);
    if (TF_GetCode(model.status) != TF_OK)
        fail("%s: expected a SavedModel, received: %s", path, reason(model.status));
    const uint8_t *begin = meta_graph->data;
    /* MetaGraphDef.signature_def; SignatureDef.inputs = 1, .outputs = 2. */
    Bytes signature =
        entry((Bytes){begin, begin + meta_graph->length}, 5, signature_name);
    if (signature.begin == NULL)
        fail("%s: expected a signature %s, received none of this name.", path,
             signature_name);
    model.examples = tensor_of(model.graph, signature, 1, signature_name, "examples");
    model.probability =
        tensor_of(model.graph, signature, 2, signature_name, "probability");
    TF_DeleteBuffer(meta_graph);
    TF_DeleteSessionOptions(options);
    return model;
}

static void close_model(Model *model)
{
    TF_CloseSession(model->session, model->status);
    TF_DeleteSession(model->session, model->status);
    TF_DeleteGraph(model->graph);
    TF_DeleteStatus(model->status);
}

/* --- TFRecord: length (8 bytes), its checksum (4), the bytes, their checksum (4). */

typedef struct {
    char *data;
    size_t size;
} Record;

/* CRC-32C, masked as TFRecord has it. */
static uint32_t checksum(const void *data, size_t size)
{
    static uint32_t table[256];
    if (table[1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++)
                table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0);
        }
    uint32_t crc = 0xffffffffu;
    for (const uint8_t *at = data, *end = at + size; at < end; at++)
        crc = crc >> 8 ^ table[(crc ^ *at) & 0xff];
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static uint64_t little_endian(const uint8_t *bytes, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* Reads the next record; 0 at the end of the file. `number` is its own, from 1. */
static int read_record(FILE *file, const char *path, uint64_t number, Record *record)
{
    uint8_t head[12], tail[4];
    size_t size = fread(head, 1, sizeof head, file);
    if (size == 0 && feof(file))
        return 0;
    if (ferror(file))
        fail("%s: expected a file that can be read, received: %s.", path,
             strerror(errno));
    if (size == sizeof head && checksum(head, 8) != little_endian(head + 8, 4))
        fail("%s, record %" PRIu64 ": expected an uncompressed TFRecord, received other "
             "bytes.", path, number);
    if (size == sizeof head) {
        record->size = little_endian(head, 8);
        record->data = allocate(record->size);
        size = fread(record->data, 1, record->size, file);
        if (size == record->size && fread(tail, 1, sizeof tail, file) == sizeof tail) {
            if (checksum(record->data, record->size) != little_endian(tail, 4))
                fail("%s, record %" PRIu64 ": expected bytes of its checksum, received "
                     "others.", path, number);
            return 1;
        }
    }
    fail("%s, record %" PRIu64 ": expected a whole record, received a part of one.",
         path, number);
}

/* Scores a batch and prints the probabilities. `first` is its first record's number. */
static void score(const Model *model, const Record *records, int num_records,
                  const char *path, uint64_t first)
{
    const int64_t shape[] = {num_records};
    TF_Tensor *examples = TF_AllocateTensor(
        TF_STRING, shape, 1, (size_t)num_records * sizeof(TF_TString));
    TF_TString *strings = TF_TensorData(examples);
    for (int i = 0; i < num_records; i++) {
        TF_StringInit(&strings[i]);
        TF_StringAssignView(&strings[i], records[i].data, records[i].size);
    }
    TF_Tensor *probabilities = NULL;
    TF_SessionRun(model->session, NULL, &model->examples, &examples, 1,
                  &model->probability, &probabilities, 1, NULL, 0, NULL, model->status);
    if (TF_GetCode(model->status) != TF_OK)
        fail("%s, records %" PRIu64 " to %" PRIu64 ": expected Examples of the model's "
             "columns, received: %s", path, first, first + (uint64_t)num_records - 1,
             reason(model->status));
    if (TF_TensorType(probabilities) != TF_FLOAT ||
        TF_TensorElementCount(probabilities) != num_records)
        fail("%s: expected a float a record, received other probabilities.", path);
    const float *values = TF_TensorData(probabilities);
    for (int i = 0; i < num_records; i++)
        printf("%.9g\n", values[i]);
    TF_DeleteTensor(probabilities);
    TF_DeleteTensor(examples); /* its strings are views of the records */
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(USAGE, stdout);
        return 0;
    }
    if (argc < 3 || argc > 4) {
        fputs(USAGE, stderr);
        return 2;
    }
    const char *path = argv[2];
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail("%s: expected a file that can be read, received: %s.", path,
             strerror(errno));
    Model model = load_model(argv[1], argc == 4 ? argv[3] : "predict_examples");
    Record records[BATCH_SIZE];
    uint64_t num_read = 0;
    for (int in_batch = 1; in_batch;) {
        for (in_batch = 0; in_batch < BATCH_SIZE; in_batch++)
            if (!read_record(file, path, num_read + in_batch + 1, &records[in_batch]))
                break;
        if (in_batch)
            score(&model, records, in_batch, path, num_read + 1);
        for (int i = 0; i < in_batch; i++)
            free(records[i].data);
        num_read += (uint64_t)in_batch;
    }
    fclose(file);
    close_model(&model);
    if (num_read == 0)
        fail("%s: expected records, received none.", path);
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("standard output: expected to be written, received: %s.",
             strerror(errno));
    return 0;
}
