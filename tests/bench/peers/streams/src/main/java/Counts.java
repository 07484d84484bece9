import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.TimeWindows;

/** Kafka Streams as its tutorial on tumbling windows has it: typed values, a window with a grace period, a count. */
public final class Counts {
  /** What is counted. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public record Message(String id, String kind, String queue, String channel) {}

  private static long left = Long.parseLong(System.getenv("BENCH_MESSAGES"));
  private static final long ALL = left;

  private static void say(String what) {
    var bean = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    double cpu = bean.getProcessCpuTime() / 1e9;
    try (var out = new FileOutputStream("/proc/self/fd/" + System.getenv("BENCH_SAY"))) {
      out.write((what + " " + System.currentTimeMillis() / 1e3 + " " + cpu + "\n").getBytes());
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** One more message is there to be counted; there is one thread. */
  private static void tick() {
    if (left == ALL) {
      say("first");
    }
    left--;
    if (left == 0) {
      say("last");
    }
  }

  private static Serde<Message> messages() {
    var mapper = new ObjectMapper();
    Deserializer<Message> read =
        (topic, data) -> {
          try {
            return mapper.readValue(data, Message.class);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        };
    Serializer<Message> write =
        (topic, value) -> {
          try {
            return mapper.writeValueAsBytes(value);
          } catch (IOException error) {
            throw new UncheckedIOException(error);
          }
        };
    return Serdes.serdeFrom(write, read);
  }

  private static Properties settings() {
    var settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams-" + System.getenv("BENCH_TOPIC"));
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, System.getenv("BENCH_BOOTSTRAP"));
    settings.put(StreamsConfig.STATE_DIR_CONFIG, System.getenv("BENCH_STATE"));
    settings.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    return settings;
  }

  /** Runs until SIGTERM. */
  public static void main(String[] arguments) throws InterruptedException {
    var builder = new StreamsBuilder();
    var grace = Duration.ofSeconds(Long.parseLong(System.getenv("BENCH_GRACE_S")));
    var spoken =
        builder.stream(System.getenv("BENCH_TOPIC"), Consumed.with(Serdes.String(), messages()))
            .filter((key, message) -> message.kind().equals("message"));
    var keyed =
        System.getenv("BENCH_EASY").equals("1")
            ? spoken
            : spoken
                .selectKey((key, message) -> message.queue() + "|" + message.channel())
                .repartition(Repartitioned.with(Serdes.String(), messages()));
    keyed
        .peek((key, message) -> tick()) // before the window: what comes too late for it is seen, too
        .groupByKey(Grouped.with(Serdes.String(), messages()))
        .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofMinutes(1), grace))
        .count()
        .toStream()
        .map((window, count) -> KeyValue.pair(window.key() + "@" + window.window().start(), count.toString()))
        .to(System.getenv("BENCH_OUT"), Produced.with(Serdes.String(), Serdes.String()));
    var streams = new KafkaStreams(builder.build(), settings());
    var ended = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      streams.close(Duration.ofSeconds(20));
      ended.countDown();
    }));
    streams.start();
    ended.await();
  }
}
